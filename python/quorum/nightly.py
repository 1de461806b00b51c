"""The nightly job, stage by stage: ingest, build, release, check, publish.

Every stage can be killed and run again. Files are committed after their rows are accounted for, budget is
reserved before noise is drawn, and readers see a release only when all of it is on disk.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from quorum import (
    accounting,
    anchors,
    benchmark_catalog,
    bundles,
    cohort_quality,
    comparisons,
    expiry,
    following,
    forgetting,
    gate,
    intake,
    key_selection,
    landing,
    landing_queue,
    losses,
    public_keys,
    publish,
    rekey,
    release,
    release_control,
    release_facts,
    release_folders,
    room,
    rules,
    warehouse,
)
from quorum.audit import AuditLog
from quorum.budget import BudgetExhausted, Slot
from quorum.forgetting import Forgotten
from quorum.keyring import Keyring
from quorum.ledger import Answer
from quorum.marts import Published
from quorum.pages import operations
from quorum.runner import Dbt
from quorum.workspace import Workspace

Progress = Callable[[str], None]


@dataclass
class Report:
    """What a run did, in figures that may be shown to the operator."""

    as_of: date
    last_as_of: date | None = None  # of the run before
    problems: list[landing.Problem] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    tenants: int = 0
    outcomes: list[release.Outcome] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    published: str | None = None
    withheld: dict[str, str] = field(default_factory=dict)  # why, by tenant id
    bundles: int = 0
    waiting: list[str] = field(default_factory=list)
    forgotten: Forgotten | None = None
    development_key: bool = False
    head: str = ""  # of both chains, to be written down


def run(
    workspace: Workspace,
    as_of: date,
    progress: Progress,
    rebuild: tuple[date, date] | None = None,
    *,
    accept_changes: bool = False,
) -> Report:
    """Do the whole night for one workspace; a failure raises and leaves the last release in place.

    With ``rebuild`` no new files are taken in; those with events between these two UTC days are read again. With
    ``accept_changes`` the marts are not held against the last release.
    """
    workspace.prepare()
    with workspace.locked():
        night = _Night(workspace, as_of, progress, rebuild, accept_changes=accept_changes)
        with night.audited():
            night.ingest()
            night.build()
            night.answer()
            night.publish()
        night.show()
    return night.report


@contextmanager
def between_nights(workspace: Workspace, as_of: date, progress: Progress) -> Iterator["_Night"]:
    """Hold the workspace with all that is queued worked off, and no new file taken in."""
    workspace.prepare()
    with workspace.locked():
        night = _Night(workspace, as_of, progress)
        night.read_rules()
        if not night.is_settled():
            night.work_off()
        yield night


class _Night:
    def __init__(
        self,
        workspace: Workspace,
        as_of: date,
        progress: Progress,
        rebuild: tuple[date, date] | None = None,
        *,
        accept_changes: bool = False,
    ) -> None:
        self.workspace = workspace
        self._accept_changes = accept_changes
        self._rebuild = rebuild
        self.report = Report(as_of)
        self._progress = progress
        self._dbt = Dbt(workspace)
        self._keyring = Keyring.open(workspace.keyring)
        self._audit = AuditLog(workspace)
        self._ledger = anchors.open_ledger(workspace)
        self._no_room: dict[Slot, BudgetExhausted] = {}
        self.report.development_key = self._keyring.development

    @contextmanager
    def audited(self) -> Iterator[None]:
        """Write into the audit log that the run began, and how it ended; tie it to the ledger where it ended well."""
        as_of, ended = str(self.report.as_of), self._audit.of("run_ended")
        self.report.last_as_of = date.fromisoformat(ended[-1].facts["as_of"]) if ended else None
        self._audit.append(
            "run_started", as_of=as_of, rebuild=[str(d) for d in self._rebuild] if self._rebuild else None
        )
        try:
            yield
        except Exception as error:
            self._audit.append("run_failed", as_of=as_of, error=type(error).__name__)
            raise
        policy_version = self._rules.policies.version
        self._audit.append("run_ended", as_of=as_of, release=self.report.published, policy=policy_version)
        self.report.head = str(anchors.tie(self.workspace, self._ledger))

    def ingest(self) -> None:
        """Take new files in, and judge their rows."""
        self.read_rules()
        self._progress("reading new files")
        if self._rebuild:
            self.report.problems += intake.queue_again(self.workspace, *self._rebuild)
        else:
            self.report.problems += intake.queue_new_files(self.workspace, self._dbt)
        named = "".join(f"{problem}\n" for problem in self.report.problems)
        self.workspace.landing_problems.write_text(named, encoding="utf-8")
        expiry.expire_rows(self.workspace, self._keyring, self.report.as_of)
        self.work_off()
        expiry.expire_fields(self.workspace, self._keyring)

    def read_rules(self) -> None:
        """Write down what the operator decided for SQL to read, and make good what a killed run left."""
        self._progress("reading the registry and the policy")
        self._rules = rules.load(self.workspace, self._dbt, self._keyring, self.report.as_of)
        self._audit.policy_in_force(self._rules.digests)
        release_folders.sweep(self.workspace)
        rekey.finish(self.workspace, self._keyring, self._progress)
        following.prepare(self.workspace)
        comparisons.prepare(self.workspace)
        with warehouse.opened(self.workspace, "restricted") as connection:
            landing.prepare(connection)
            intake.write_clock(connection, self.report.as_of, self._rebuild)
            self._rules.write(connection)
            self.report.problems = forgetting.mend(self.workspace, connection)
        self._record_release()  # which a run that was killed could not

    def is_settled(self) -> bool:
        """Tell whether nothing is queued but what a quota has deferred."""
        with warehouse.opened(self.workspace, "restricted", read_only=True) as connection:
            return landing_queue.is_settled(connection)

    def work_off(self) -> None:
        """Judge all that is queued."""
        make_keys = partial(self._audit.make_keys, self._keyring)
        intake.work_off(self.workspace, self._dbt, make_keys, self._rules.registered, self._progress)

    def build(self) -> None:
        """Build the tenant plane, as far as the new events reach."""
        self._progress("building the tenant plane")
        self._dbt.build("tenant", "tenant")
        self.count_rows()
        following.settle(self.workspace)
        comparisons.forget(self.workspace)
        self.report.forgotten = forgetting.finish(self.workspace, self._keyring, self.report.as_of, self._progress)
        if self.report.forgotten:
            self.report.problems += self.report.forgotten.problems
            self._audit.append("forgotten", **self.report.forgotten.counts())
        self.report.tenants = accounting.active_tenants(self.workspace)

    def count_rows(self) -> None:
        """Report where the rows of all files have ended so far."""
        counted = accounting.of_rows(self.workspace)
        self.report.rows, self.report.reasons = counted.rows, counted.reasons

    def answer(self) -> None:
        """Answer the private releases that are due, within their budgets."""
        given = self._answers()
        self._check(given)  # what a night that was killed has answered
        self.report.outcomes = []
        # before the first file there is nothing to ask about, and an answer would stand for good
        for due in release.rounds(self._due() if self.report.rows["files"] else []):
            self._progress(f"measuring {len(due)} private releases")
            release_control.write(self.workspace, due, self._rules.policies.specs, given)
            self._dbt.build("cross_tenant", "cross_tenant")
            budgets = self._rules.policies.budgets
            outcomes = release.answer(self.workspace, self._ledger, budgets, due, self._no_room)
            for outcome in outcomes:
                if outcome.refused is not None:
                    self._audit.refused("run", outcome.refused)
            self.report.outcomes += outcomes
            given = self._answers()
            self._check(given)
        self._audit.charges(self._ledger)
        release.write_answers(self.workspace, given, self.report.outcomes)
        policies = self._rules.policies
        keys = {**key_selection.known(policies.specs, given, date.max), **public_keys.key_sets(self.workspace)}
        benchmark_catalog.write(self.workspace, policies, keys)
        self._progress("building the benchmark marts")
        self._dbt.build("released", "released")
        self._progress("comparing each tenant with its benchmark")
        shown = release.shown(given, self.report.outcomes)
        comparisons.write(self.workspace, shown, self._rules.policies.specs, self.report.as_of)
        self._dbt.build("compared", "compared")

    def _check(self, answers: list[Answer]) -> None:
        cohort_quality.check(self.workspace, self._dbt, answers, self._progress)

    def _answers(self) -> list[Answer]:
        return [answer for spec in self._rules.policies.specs for answer in self._ledger.answers(spec.name)]

    def _due(self) -> list[release.Due]:
        policies = self._rules.policies
        due = release.due_releases(
            self._ledger, policies.specs, public_keys.key_sets(self.workspace), self.report.as_of, policies.version
        )
        # what a tenant's quota defers depends on many users' rows: an answer without them would tell of that
        held = accounting.held_days(self.workspace)
        waiting = [each for each in due if any(each.lookback_start <= day < each.end for day in held)]
        self.report.waiting = [f"{each.spec.name} {each.start}" for each in waiting]
        # what waits keeps its place in the budget, so that neither does the room of the others tell of that
        in_order = [each for several in release.rounds(due) for each in several]
        self._no_room = room.refused(self._ledger, policies.budgets, in_order) if waiting else {}
        return [each for each in due if each not in waiting]

    def publish(self) -> None:
        """Check the marts, and move readers to a new release if anything changed."""
        published = Published.of(self._dbt.manifest())
        self._progress("checking the marts")
        tenants = bundles.of_tenants(self.workspace, self._keyring)
        last = release_folders.last(self.workspace, {bundle.tenant_key for bundle in tenants})
        checks = gate.Checks(self.workspace, published, last, accept_changes=self._accept_changes)
        verdict = checks.all(public_keys.catalog_keys(self.workspace), self._answers())
        self.report.statuses = verdict.statuses
        self._progress("publishing")
        budgets = losses.of_newest_periods(self._ledger)
        facts = release_facts.of(self.workspace, self._ledger, self._rules.policies, self.report.as_of)
        publication = publish.Publication(self.workspace, published, facts, budgets)
        withheld = [bundle for bundle in tenants if bundle.tenant_key in verdict.withheld]
        outdated = publication.outdated(withheld, self._audit.erased_since(publication.last))
        said = {bundle.tenant_key: verdict.said(bundle.tenant_key, outdated) for bundle in withheld}
        self.report.withheld = self._named(said)
        try:
            publication.build(tenants, verdict.withheld, outdated, self._progress)
            self.report.published = publication.publish()
        except BaseException:
            publication.discard()
            raise
        self.report.bundles = len(tenants)
        self._record_release()

    def show(self) -> None:
        """Write the operator's page."""
        answered = [outcome for outcome in self.report.outcomes if outcome.refusal is None]
        run = vars(self.report) | {
            "answers": len(answered),
            "refused": [outcome.refusal for outcome in self.report.outcomes if outcome.refusal is not None],
            "problems": landing.told(self.report.problems),
        }
        operations.write(self.workspace, run, self._ledger, self._dbt.manifest())

    def _named(self, withheld: dict[str, str]) -> dict[str, str]:
        """Name the tenants whose new bundles are withheld, in the audit log by key."""
        if withheld:
            self._audit.append("bundles_withheld", tenant_keys=sorted(withheld))
        names = {keys.tenant_key: tenant for tenant, keys in self._keyring.tenants().items()}
        return {names[tenant_key]: reason for tenant_key, reason in withheld.items()}

    def _record_release(self) -> None:
        """Write the current release into the audit log, unless it is there."""
        folder = release_folders.current(self.workspace)
        if folder is None:
            return
        with warehouse.opened(self.workspace, "restricted", read_only=True) as connection:
            files = warehouse.rows(connection, "select landing_file from landing_files where state = 'read'")
        manifest = self.workspace.operator_manifests / f"{folder.name}.json"
        bundles_in_it = sum(1 for _ in (folder / release_folders.TENANTS).glob("*"))
        self._audit.published(manifest, bundles_in_it, (row["landing_file"] for row in files))
