"""Reads `workloads:` of `identities.yaml`.

    workloads:
      payments-deploy:
        provider: github
        claims:
          repository_id: 74
          ref: refs/heads/main
          environment: [production, staging]

All claims must fit; of a list of patterns one must. A condition that every token of the provider meets, or that a
stranger's token can meet, does not make an entry: at least one claim must say whose workload it is.
"""

import re

from yaml.nodes import Node, ScalarNode, SequenceNode

from identity.claim_pattern import ClaimPattern, ClaimPatternError
from identity.identities_nodes import BOOL_TAG, INT_TAG, STRING_TAG, NodeReader, line_of
from identity.identities_people import PROVIDER_NAME
from identity.workload_habits import stranger_problem
from identity.workloads import ClaimCondition, ClaimNameError, Workload

WORKLOAD_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
MAX_CLAIMS = 32
MAX_PATTERNS = 100
# No condition on these can be meant: the first is the provider's own, the others differ in every token.
UNUSABLE_CLAIMS = {
    "iss": "is the provider's, which `provider` names",
    "exp": "is a time",
    "iat": "is a time",
    "nbf": "is a time",
    "jti": "differs in every token",
}
# YAML reads 0123, 1_000 and 1:30 as numbers, and `yes` as true: only what JSON would write is taken without quotes.
_PLAIN = {INT_TAG: re.compile(r"-?(?:0|[1-9][0-9]*)"), BOOL_TAG: re.compile(r"true|false")}


class WorkloadsReader:
    """Collects the workloads, in order."""

    def __init__(self, nodes: NodeReader) -> None:
        self._nodes = nodes
        self.workloads: list[Workload] = []

    def read(self, workloads: Node) -> None:
        """Read the value of `workloads`."""
        for key, body in self._nodes.members(workloads, "workloads"):
            if WORKLOAD_NAME.fullmatch(key.value) is None:
                self._nodes.wrong(key, f"the workload {key.value!r}: a name is lower-case letters, digits and . _ -")
            else:
                self._workload(key, body)

    def _workload(self, key: ScalarNode, body: Node) -> None:
        what = f"the workload {key.value!r}"
        before = len(self._nodes.findings)
        members = {name.value: value for name, value in self._nodes.members(body, what, allowed=("provider", "claims"))}
        if len(self._nodes.findings) == before and members.keys() != {"provider", "claims"}:
            self._nodes.wrong(key, f"{what} needs a provider and claims")
        provider = self._provider(members["provider"], what) if "provider" in members else None
        conditions = self._conditions(members["claims"], what) if "claims" in members else ()
        if len(self._nodes.findings) > before or provider is None:
            return
        problem = stranger_problem(conditions)
        if problem is not None:
            self._nodes.wrong(key, f"{what}: {problem}")
            return
        self.workloads.append(Workload(str(key.value), provider, conditions, line_of(key)))

    def _provider(self, node: Node, what: str) -> str | None:
        provider = self._nodes.text(node, f"{what}: provider")
        if provider is not None and PROVIDER_NAME.fullmatch(provider) is None:
            self._nodes.wrong(node, f"{what}: {provider!r} is not a provider's name")
        return provider

    def _conditions(self, node: Node, what: str) -> tuple[ClaimCondition, ...]:
        conditions = []
        for key, value in self._nodes.members(node, f"{what}: claims"):
            claim = str(key.value)
            patterns = self._patterns(value, f"{what}: {claim}")
            if claim in UNUSABLE_CLAIMS:
                self._nodes.wrong(key, f"{what}: {claim} {UNUSABLE_CLAIMS[claim]}; leave it out")
                continue
            try:
                conditions.append(ClaimCondition(claim, patterns))
            except ClaimNameError as error:
                self._nodes.wrong(key, f"{what}: the claim {claim!r} {error}")
        if len(conditions) > MAX_CLAIMS:
            self._nodes.wrong(node, f"{what} has more than {MAX_CLAIMS} claims")
        return tuple(conditions)

    def _patterns(self, node: Node, what: str) -> tuple[ClaimPattern, ...]:
        nodes = self._nodes.elements(node, what) if isinstance(node, SequenceNode) else [node]
        if len(nodes) > MAX_PATTERNS:
            self._nodes.wrong(node, f"{what} has more than {MAX_PATTERNS} patterns")
            return ()
        return tuple(pattern for each in nodes if (pattern := self._pattern(each, what)) is not None)

    def _pattern(self, node: Node, what: str) -> ClaimPattern | None:
        plain = _PLAIN.get(node.tag)
        is_text = node.tag == STRING_TAG or (plain is not None and plain.fullmatch(str(node.value)) is not None)
        if not isinstance(node, ScalarNode) or not is_text:
            self._nodes.wrong(node, f"{what} must be a text, a whole number, true or false: put it in quotes")
            return None
        try:
            return ClaimPattern(str(node.value))
        except ClaimPatternError as error:
            self._nodes.wrong(node, f"{what} {error}")
            return None
