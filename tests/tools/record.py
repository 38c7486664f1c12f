"""Writes tests/corpus/VERDICTS.tsv anew from what the keepalived installed says, and shows where fastha differs without
a reason: python -m tests.tools.record"""

import sys

from fastha.config.load import load
from tests.corpus_files import COLUMNS, CONFIG_ID, CORPUS, VERDICTS, ask_keepalived, machine, verdicts, why_not


def main() -> int:
    problem = why_not()
    if problem:
        print(problem, file=sys.stderr)
        return 1
    reasons = {verdict.file: verdict.why for verdict in verdicts()} if VERDICTS.exists() else {}
    files = sorted(CORPUS.rglob("*.conf"))
    said = ask_keepalived(files)
    host = machine()
    rows = ["\t".join(COLUMNS)]
    unexplained = 0
    for path in files:
        name = str(path.relative_to(CORPUS))
        loaded = load(str(path), host, config_id=CONFIG_ID)
        ours = str(loaded.exit_code)
        why = reasons.get(name, "") if ours != said[path] else ""
        rows.append("\t".join((name, said[path], ours, why)))
        if ours != said[path] and not why:
            unexplained += 1
            print(f"{name}: keepalived {said[path]}, fastha {ours}")
            for finding in loaded.diagnostics:
                print(f"    {finding.line}:{finding.column}: {finding.severity}: {finding.message}")
    VERDICTS.write_text("\n".join(rows) + "\n")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
