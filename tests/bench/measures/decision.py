"""How long one decision takes over 1,000 rules, by the gateway's engine and by pycasbin itself."""

from collections.abc import Sequence
from pathlib import Path

import casbin

from gateway.policy.matchers import MATCHERS
from gateway.policy.request import AccessRequest
from gateway.policy.source import PolicySource
from tests.bench.credentials import GROUPS, USERNAME
from tests.bench.processes import BenchError
from tests.bench.rules import BACKEND, ENVIRONMENT, PROVIDER, write_policies
from tests.bench.setting import Findings, Setting, new_directory
from tests.bench.timing import median_us

RULES = 1000
_SUBJECT = f"user:{PROVIDER}:{USERNAME}"
_REQUESTS = 20_000
_PYCASBIN_REQUESTS = 100


def decision(setting: Setting) -> Findings:
    """Time single decisions, each on another resource, half of them allowed; both engines must agree on all of them."""
    directory = new_directory(setting, "policies")
    write_policies(directory, RULES)
    source = PolicySource(directory)
    source.load()
    requests = _requests(_REQUESTS)
    sample = requests[:_PYCASBIN_REQUESTS]
    stock = _pycasbin(directory)

    def stock_decision(request: AccessRequest) -> bool:
        allowed, _ = stock.enforce_ex(
            request.subject, request.environment, request.resource, request.action, request.context
        )
        return bool(allowed)

    for request in sample:
        if source.engine.decide(request).allowed is not stock_decision(request):
            raise BenchError(f"the engine and pycasbin differ on {request}")
    return Findings(
        {
            "decision_us_1k": median_us(source.engine.decide, requests),
            "decision_us_1k_pycasbin": median_us(stock_decision, sample),
        }
    )


def _requests(count: int) -> Sequence[AccessRequest]:
    groups = tuple(f"group:{PROVIDER}:{group}" for group in GROUPS)
    return [
        AccessRequest(
            _SUBJECT,
            groups,
            ENVIRONMENT,
            # One half belongs to team-07, a role of the caller, the other half to a team that is none.
            f"{BACKEND}/service-{(number * 25 % RULES) + 7:06d}/object-{number}",
            "read",
            {"time": 1_767_225_600, "source": "192.0.2.1", "method": "GET"},
        )
        for number in range(count)
    ]


def _pycasbin(directory: Path) -> casbin.Enforcer:
    """Return a stock enforcer over the same files, the caller's groups given as rows, as pycasbin wants them."""
    enforcer = casbin.Enforcer(str(directory / "model.conf"), str(directory / "rules" / "bench.csv"))
    for name, function in MATCHERS.items():
        enforcer.add_function(name, function)
    for group in GROUPS:
        enforcer.add_grouping_policy(_SUBJECT, f"group:{PROVIDER}:{group}")
    return enforcer
