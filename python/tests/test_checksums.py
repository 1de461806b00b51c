"""A folder's SHA256SUMS: what it lists, as it lists it, and nothing else, is taken."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from quorum.checksums import Checksums, integrity
from quorum.raw_files import Unusable

DIGEST = hashlib.sha256(b"content").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
NAMES = ["plain.jsonl", " two  spaces ", "*starred", "back\\slash", "two\nlines", "née.csv", "\\"]


def listed(folder: Path, content: str | bytes) -> Checksums:
    (folder / "SHA256SUMS").write_bytes(content.encode() if isinstance(content, str) else content)
    checksums = Checksums.at(folder)
    assert checksums is not None
    return checksums


@pytest.mark.parametrize("mark", ["--binary", "--text"])
def test_what_sha256sum_wrote_is_read(mark: str, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).write_bytes(name.encode())
    written = subprocess.run(["sha256sum", mark, "--", *NAMES], cwd=tmp_path, capture_output=True, check=True).stdout  # noqa: S607
    for content in (written, written.replace(b"\n", b"\r\n"), written.rstrip(b"\n")):
        assert listed(tmp_path, content).digests == {name: hashlib.sha256(name.encode()).hexdigest() for name in NAMES}


def test_a_file_is_taken_only_as_it_is_listed(tmp_path: Path) -> None:
    assert Checksums.at(tmp_path) is None
    checksums = listed(tmp_path, f"{DIGEST}  a.csv\n{DIGEST.upper()} *./b.csv\n{OTHER}  SHA256SUMS\n{DIGEST}  a.csv\n")
    checksums.check("a.csv", DIGEST)
    checksums.check("b.csv", DIGEST.upper())
    with pytest.raises(Unusable, match=r"^waits for the next run, its bytes are not those of SHA256SUMS$"):
        checksums.check("a.csv", OTHER)
    with pytest.raises(Unusable, match=r"^waits for the next run, SHA256SUMS does not list it yet$"):
        checksums.check("c.csv", DIGEST)
    assert checksums.missing(["b.csv", "c.csv"]) == ["a.csv"]
    assert checksums.missing(["b.csv", "a.csv"]) == []
    assert listed(tmp_path, "").digests == {}


MALFORMED: dict[str, str | bytes] = {
    "a blank line": f"{DIGEST}  a\n\n{OTHER}  b\n",
    "a cut line": f"{DIGEST}  a\n{OTHER[:20]}",
    "no name": f"{DIGEST}  \n",
    "one space": f"{DIGEST} secret\n",
    "another hash": f"{DIGEST[:32]}  secret\n",
    "the tagged format": f"SHA256 (secret) = {DIGEST}\n",
    "an unknown escape": f"\\{DIGEST}  secret\\t\n",
    "a cut escape": f"\\{DIGEST}  secret\\\n",
    "no UTF-8": DIGEST.encode() + b"  \xff\n",
    "UTF-16": f"{DIGEST}  secret\n".encode("utf-16"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_one_holds_its_folder_up(case: str, tmp_path: Path) -> None:
    why = r"^waits for the next run, SHA256SUMS of its folder is not in the format of sha256sum$"
    with pytest.raises(Unusable, match=why):
        listed(tmp_path, MALFORMED[case])


def test_one_that_is_ambiguous_holds_its_folder_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unusable, match=r"of its folder lists a file twice$"):
        listed(tmp_path, f"{DIGEST}  a\n{OTHER}  a\n")
    with pytest.raises(Unusable, match="of its folder lists files of other folders"):
        listed(tmp_path, f"{DIGEST}  a/b\n")
    monkeypatch.setattr("quorum.checksums.MAX_BYTES", 10)
    with pytest.raises(Unusable, match=r"of its folder is too large$"):
        listed(tmp_path, f"{DIGEST}  a\n")
    (tmp_path / "SHA256SUMS").unlink()
    (tmp_path / "SHA256SUMS").mkdir()
    with pytest.raises(Unusable, match=r"of its folder cannot be read$"):
        Checksums.at(tmp_path)


def test_integrity_is_what_would_have_caught_a_flipped_bit(tmp_path: Path) -> None:
    checksums = listed(tmp_path, "")
    assert [integrity(Path(name), None) for name in ("a.csv", "a.csv.gz", "a.parquet")] == ["none", "gzip", "none"]
    assert {integrity(Path(name), checksums) for name in ("a.csv", "a.csv.gz", "a.parquet")} == {"manifest"}
