"""What of the due releases finds room in its budget: gone through as a run does, and nothing is spent."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from quorum.budget import WINDOWS, Budget, BudgetExhausted, Cost, Slot, label, total
from quorum.ledger import Ledger
from quorum.release import Due


def refused(ledger: Ledger, budgets: Mapping[str, Budget], due: Sequence[Due]) -> dict[Slot, BudgetExhausted]:
    """Go through what is due in the order in which it is asked, with the same check; return what finds no room."""
    found, already = {}, paid(ledger)
    asked: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for each in due:
        if (each.slot, each.spec.rho) in already:
            continue
        population, names = each.spec.population, {window: label(window, each.start) for window in WINDOWS}
        spent = {
            window: total((ledger.spent(population, window, each.start), asked[population, name]))
            for window, name in names.items()
        }
        try:
            budgets[population].check(each.slot, Cost(each.spec.rho, each.delta_gate), spent)
        except BudgetExhausted as exhausted:
            found[each.slot] = exhausted
        else:
            for name in names.values():
                asked[population, name] = total((asked[population, name], each.spec.rho))
    return found


def paid(ledger: Ledger) -> list[tuple[Slot, Decimal]]:
    """Return what a run that died has reserved: who asks the same takes it over."""
    return [(each.slot, each.cost.rho) for each in ledger.unanswered()]
