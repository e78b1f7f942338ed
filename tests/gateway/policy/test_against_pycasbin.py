"""The index, our own use of pycasbin, and stock pycasbin give one answer: the verdict and the row."""

import tempfile
from itertools import pairwise

import casbin
from casbin.persist.adapter import load_policy_line
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.policy.bundle_files import BundleFile
from gateway.policy.index import RuleIndex
from gateway.policy.matchers import MATCHERS
from gateway.policy.model import parse_model
from gateway.policy.reference import CasbinDecider
from gateway.policy.request import AccessRequest, Revision
from gateway.policy.roles import link_findings
from gateway.policy.rows import RowReader, split_row
from tests.gateway.policy.bundles import SHIPPED_MODEL, ask

FIRST_ALLOW_MODEL = SHIPPED_MODEL.replace(" && !some(where (p.eft == deny))", "")
REVISION = Revision("c" * 40, "d" * 64)

_ROLES = [f"role:r{number}" for number in range(5)]
_PEOPLE = ["user:a", "user:b", "workload:ci:main", "group:c:x", "group:c:y"]
_ENVIRONMENTS = ["prod", "staging"]
_SEGMENTS = ["a", "b", "ab", "*", "a*", "*b", "a*b"]
_ACTIONS = ["read", "write", "s3:Get", "s3:GetObject"]
_CONDITIONS = [
    "",
    "acr == 'gold'",
    "not acr == 'gold'",
    "source_in('10.0.0.0/8', '192.168.0.0/16')",
    "'otp' in amr",
    "until('2026-12-31T18:00Z') and (method in ('GET', 'HEAD') or 'otp' in amr)",
]


@st.composite
def _rule(draw: st.DrawFn) -> str:
    segments = draw(st.lists(st.sampled_from(_SEGMENTS), min_size=1, max_size=3))
    resource = "/".join(segments + draw(st.sampled_from([[], [], ["**"]])))
    fields = [
        draw(st.sampled_from([*_PEOPLE, *_ROLES, *_ROLES])),
        draw(st.sampled_from([*_ENVIRONMENTS, "*"])),
        draw(st.sampled_from([resource, resource, "**"])),
        draw(st.sampled_from([*_ACTIONS, "*", "s3:*"])),
        draw(st.sampled_from(["allow", "allow", "deny"])),
        draw(st.sampled_from(_CONDITIONS)),
    ]
    return "p, " + ", ".join(fields)


@st.composite
def _link(draw: st.DrawFn) -> str:
    """A link along the order of the roles, so that there is no cycle."""
    above = draw(st.integers(0, len(_ROLES) - 1))
    member = draw(st.sampled_from([*_PEOPLE, *_ROLES[:above]]))
    return f"g, {member}, {_ROLES[above]}"


_RULE_FILES = st.builds(
    lambda rules, links: "\n".join([*rules, *links]),
    st.lists(_rule(), max_size=12),
    st.lists(_link(), max_size=10),
)
_REQUESTS = st.builds(
    AccessRequest,
    subject=st.sampled_from(["user:a", "user:b", "workload:ci:main", "user:stranger"]),
    groups=st.lists(st.sampled_from(["group:c:x", "group:c:y", "group:c:unknown"]), unique=True).map(tuple),
    environment=st.sampled_from([*_ENVIRONMENTS, "dev"]),
    resource=st.lists(st.sampled_from(["a", "b", "ab", "axb", "c", ".."]), min_size=1, max_size=4).map("/".join),
    action=st.sampled_from([*_ACTIONS, "delete"]),
    context=st.fixed_dictionaries(
        {},
        optional={
            "acr": st.sampled_from(["gold", "tin"]),
            "amr": st.sampled_from([(), ("otp",)]),
            "source": st.sampled_from(["10.0.0.1", "8.8.8.8", "rubbish"]),
            "time": st.sampled_from([1_700_000_000, 1_900_000_000]),
            "method": st.sampled_from(["GET", "PUT"]),
        },
    ),
)


def read(rules: str) -> RowReader:
    reader = RowReader(parse_model(SHIPPED_MODEL))
    reader.read(BundleFile("rules/a.csv", "rules/a.csv", rules.encode()))
    assert not reader.findings
    assert not link_findings(reader.links)
    return reader


class StockPycasbin:
    """pycasbin as it comes from its registry: its own loader, role manager, scan and explanation."""

    def __init__(self, model: str, rules: str) -> None:
        self._model = model
        self._rules = rules

    def explain(self, request: AccessRequest) -> tuple[bool, int | None]:
        """Return the verdict, and the number of the row that pycasbin explains it by."""
        links = "".join(f"\ng, {request.subject}, {group}" for group in request.groups)
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
            file.write(self._rules + links)
            file.flush()
            model = casbin.Enforcer.new_model(text=self._model)
            enforcer = casbin.Enforcer(model, casbin.persist.adapters.FileAdapter(file.name))
        for name, function in MATCHERS.items():
            enforcer.add_function(name, function)
        allowed, row = enforcer.enforce_ex(
            request.subject, request.environment, request.resource, request.action, request.context
        )
        rows = enforcer.model["p"]["p"].policy
        return allowed, next((number for number, candidate in enumerate(rows) if candidate is row), None)


@settings(max_examples=250, deadline=None)
@given(_RULE_FILES, st.lists(_REQUESTS, min_size=1, max_size=4))
@example("", [ask("", "", "x", environment="")])
@example("p, role:r0, *, **, *, allow,", [ask("user:a")])
def test_the_index_agrees_with_stock_pycasbin(rules: str, requests: list[AccessRequest]) -> None:
    """The verdict and the denying row are those of `enforce_ex`; the allowing row is the one that stops its scan under
    allow-override, the first. Our own use of pycasbin gives the same whole decision, role path included.
    """
    reader = read(rules)
    index = RuleIndex(reader.rules, reader.links, REVISION)
    reference = CasbinDecider(reader.model, tuple(reader.rules), tuple(reader.links), REVISION)
    stock, first_allow = StockPycasbin(SHIPPED_MODEL, rules), StockPycasbin(FIRST_ALLOW_MODEL, rules)
    for request in requests:
        allowed, number = stock.explain(request)
        if allowed:
            _, number = first_allow.explain(request)
        decision = index.decide(request) if ".." not in request.resource.split("/") else reference.decide(request)
        assert decision.allowed is allowed
        assert decision.rule == (reader.rules[number].rule if number is not None else None)
        if ".." not in request.resource.split("/"):
            assert decision == reference.decide(request)


@settings(deadline=None)
@given(_RULE_FILES, _REQUESTS)
def test_a_role_path_leads_along_links_from_the_subject_to_the_rules_own(rules: str, request: AccessRequest) -> None:
    reader = read(rules)
    decision = RuleIndex(reader.rules, reader.links, REVISION).decide(request)
    links = {row.fields for row in reader.links} | {(request.subject, group) for group in request.groups}
    path = decision.role_path
    assert path[0] == request.subject
    assert all(pair in links for pair in pairwise(path))
    if decision.rule is not None:
        assert path[-1] == split_row(decision.rule.text)[1]


class _Sections:
    """What pycasbin's line loader writes into."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []

    @property
    def model(self) -> dict[str, dict[str, "_Sections"]]:
        return {"p": {"p": self}}

    @property
    def policy(self) -> list[list[str]]:
        return self.rows


@settings(max_examples=300, deadline=None)
@given(st.text("ab,()[] '", max_size=30))
def test_rows_are_split_as_pycasbin_splits_them(rest: str) -> None:
    """Every row that we accept, pycasbin's loader reads as the same fields."""
    line = f"p, {rest}".strip()
    try:
        fields = split_row(line)
    except ValueError:
        return
    sections = _Sections()
    load_policy_line(line, sections)
    assert sections.rows == [fields[1:]]
