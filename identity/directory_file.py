"""Reads `identities.yaml`: the people, their accounts and the workloads, with the line of everything that is wrong.

Its two parts are told where they are read: `identity.identities_people` and `identity.identities_workloads`. Unknown
keys are errors, and so is an account that two people claim. Editors get the same rules from
`identity.identities_schema`.
"""

from pathlib import Path

import yaml

from identity.directory import EMPTY_DIRECTORY, Directory
from identity.identities_nodes import DirectoryFinding, NodeReader
from identity.identities_people import PeopleReader
from identity.identities_workloads import WorkloadsReader


class DirectoryError(Exception):
    """The file can't be used; `findings` is everything that is wrong with it, in file order."""

    def __init__(self, findings: tuple[DirectoryFinding, ...]) -> None:
        super().__init__("\n".join(f"{file}:{line}: {message}" for file, line, message in findings))
        self.findings = findings


def load_directory(path: Path) -> Directory:
    """Return the directory that a file describes; a file that is not there describes nobody.

    Raises DirectoryError with every finding, also where the file can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except FileNotFoundError:
        return EMPTY_DIRECTORY
    except (OSError, UnicodeDecodeError) as error:
        raise DirectoryError((DirectoryFinding(str(path), 1, f"can't be read: {error}"),)) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DirectoryError((DirectoryFinding(str(path), line, f"is not YAML: {error.problem}"),)) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DirectoryError((DirectoryFinding(str(path), 1, "is not YAML, or nested too deeply"),)) from error
    nodes = NodeReader(str(path))
    people, workloads = PeopleReader(nodes), WorkloadsReader(nodes)
    if root is not None:
        readers = {"people": people.read, "workloads": workloads.read}
        for key, part in nodes.members(root, "the file", allowed=tuple(readers)):
            readers[key.value](part)
    if nodes.findings:
        raise DirectoryError(tuple(sorted(nodes.findings, key=lambda finding: finding.line)))
    return Directory(people.by_subject, people.by_email, tuple(workloads.workloads))
