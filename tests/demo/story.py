"""The demo's story: who types what, and what the answer must be."""

from tests.demo import checks, commands
from tests.demo.answer import Answer, same
from tests.demo.checks import printed
from tests.demo.runner import Command, Step
from tests.demo.world import World

_POLICY_LINES = 7  # of readyz's answer


def story(world: World) -> list[Step]:
    """Return the steps in the order in which they are told."""
    return [*_people(world), *_deploy(world), *_aws(), _stolen_token(), _broken_policy(world), *_audit(world)]


def _people(world: World) -> list[Step]:
    return [
        Step(
            "Who is there",
            "Two identity providers, an AWS account, a deploy service, and the gateway in front of them: each a real "
            "server on this machine. The policy is a git repository; the gateway says which commit decides.",
            [Command("operator", commands.READYZ, checks.ready(world), within_s=30)],
        ),
        Step(
            "Alice logs in",
            "She logs in at the gateway, in a browser, and the gateway sends her on to her company's provider. She "
            "gets a token of the gateway's own: good for ten minutes, and renewed by itself. A script plays the "
            "browser's part here.",
            [
                Command("alice", commands.LOGIN.format("corp"), printed("Logged in", "through corp")),
                Command(
                    "alice",
                    "portcullis whoami",
                    printed("subject user:alice", "provider corp", "groups group:corp:developers"),
                ),
            ],
        ),
        Step(
            "She reads the staging logs",
            "With the AWS command line as it is: the gateway is its endpoint, her token is its session token. The keys "
            "mean nothing; the gateway signs with the account's own.",
            [Command("alice", commands.READ_LOGS, printed("GET /invoices/42 200", "POST /invoices 500 disk full"))],
        ),
        Step(
            "The same alice, through another provider",
            "At the partner's provider she is account a-1017. identities.yaml, reviewed like every policy file, says "
            "whose it is. The person is the same; the groups are those of the provider that spoke.",
            [
                Command("alice", commands.LOGIN.format("partner"), printed("Logged in", "through partner")),
                Command(
                    "alice",
                    "portcullis whoami",
                    printed("subject user:alice", "provider partner", "groups group:partner:developers"),
                ),
                Command("alice", commands.LOGIN.format("corp"), printed("Logged in", "through corp")),
            ],
        ),
        Step(
            "No token, or one that was tampered with",
            "Neither is ever somebody: the answer is 401, and it says what to do. The second token's signature ends "
            "in other letters than the provider wrote.",
            [
                Command(
                    "bob",
                    "curl -si $GATEWAY/aws-staging/invoices/2026/42.txt",
                    checks.not_authenticated("credential_required", "realm="),
                ),
                Command(
                    "alice",
                    commands.TAMPERED,
                    checks.not_authenticated("invalid_credential", 'error="invalid_token"'),
                ),
            ],
        ),
    ]


def _deploy(world: World) -> list[Step]:
    return [
        Step(
            "Bob logs in where there is no browser",
            "He types on a machine in the data centre. The command shows an address and a code. He opens the address "
            "on his phone, logs in there, compares the code and says yes. A script plays the phone's part here.",
            [
                Command("bob", commands.DEVICE_LOGIN, printed("enter the code", "Logged in", "user:bob through corp")),
                Command("bob", "portcullis whoami", printed("subject user:bob", "provider corp")),
            ],
        ),
        Step(
            "Bob may not deploy to production",
            "The denial says what was asked, under which policy commit, and which role would allow it. Nothing was "
            "forwarded: Buildbot has no build.",
            [
                Command("bob", commands.DEPLOY, checks.denied("deploy-prod/payments", "deploy", role="role:deployer")),
                Command(
                    "bob",
                    "portcullis can-i deploy deploy-prod/payments",
                    printed("denied: deploy on deploy-prod/payments", "would need role:deployer", code=1),
                ),
                Command("bob", commands.BUILDS, checks.builds()),
            ],
        ),
        Step(
            "The platform team changes a rule",
            "They would review a pull request; its gate is `policy test`. The gateway sees the new commit by itself.",
            [
                Command("platform-team", commands.GRANT, printed()),
                Command("platform-team", "portcullis policy test policies", printed("0 failed")),
                Command("platform-team", f"{commands.GIT} commit --quiet -am 'bob deploys payments'", printed()),
                Command("operator", commands.READYZ, checks.ready(world), within_s=30, shown_lines=_POLICY_LINES),
            ],
        ),
        Step(
            "The deploy goes through",
            "The same command. Buildbot accepts it because the gateway put its own session in; bob never had one. The "
            "build then really runs on Buildbot's worker.",
            [
                Command("bob", commands.DEPLOY, checks.build_started),
                Command("bob", commands.BUILDS, checks.builds(0), within_s=30),
            ],
        ),
    ]


def _aws() -> list[Step]:
    return [
        Step(
            "Objects in S3",
            "boto3 and `aws s3 cp` as they are. The bucket `payroll` is not for developers; why not is told in words.",
            [
                Command("alice", commands.PUT_AND_GET, printed("42 pieces of silver")),
                Command(
                    "alice",
                    commands.COPY_A_FILE,
                    printed("upload: ./report.txt to s3://invoices/2026/report.txt"),
                ),
                Command(
                    "alice",
                    f"{commands.GET} $GATEWAY/aws-staging/payroll/2026.csv",
                    checks.denied("aws-staging/s3/payroll/2026.csv", "s3:GetObject"),
                ),
            ],
        ),
        Step(
            "Nobody holds a backend's keys",
            "What alice and bob have opens nothing by itself. Sent straight to the backends, past the gateway, the "
            "same requests are refused: AWS does not know the keys, Buildbot does not know bob.",
            [
                Command("alice", commands.PAST_THE_GATEWAY, printed("InvalidAccessKeyId", code=255)),
                Command("bob", commands.DEPLOY.replace("$GATEWAY/deploy-prod", "$DEPLOYS"), _not_a_deployer),
            ],
        ),
    ]


def _stolen_token() -> Step:
    return Step(
        "Bob's token is stolen",
        "Somebody has copied it. Alice, who is on call for security, sees where bob is logged in (his machine, and his "
        "phone's browser) and revokes him: whatever he was given up to now ends at once, open connections too. The "
        "policy that guards the backends lets her, and the log says so. Bob logs in again and goes on.",
        [
            Command("bob", commands.COPY_THE_TOKEN, printed()),
            Command("bob", commands.USE_THE_COPY, _is_bob),
            Command(
                "alice", commands.SESSIONS_OF_BOB, printed("portcullis-cli through corp", "user:bob has 2 sessions")
            ),
            Command("alice", commands.REVOKE_BOB, printed("Revoked: person user:bob; 2 sessions ended")),
            Command("bob", commands.USE_THE_COPY, checks.not_authenticated("invalid_credential", "revoked")),
            Command("bob", "portcullis whoami", printed("run `portcullis login`", code=2)),
            Command("operator", commands.WHO_REVOKED, printed("revoke ok user:alice", "user:bob")),
            Command("bob", commands.LOGIN.format("corp"), printed("Logged in", "user:bob through corp")),
        ],
    )


def _broken_policy(world: World) -> Step:
    return Step(
        "A broken policy changes nothing",
        "Somebody commits a rule with a slip of the finger: `dney`. A policy loads whole or not at all, so the last "
        "good one goes on deciding, and readyz names the file and the line. Reverting it mends it.",
        [
            Command(
                "platform-team",
                f"{commands.SLIP}\n{commands.GIT} commit --quiet -am 'developers deploy no more'",
                printed(),
            ),
            Command("platform-team", "portcullis policy check policies", printed("rules/demo.csv:4", "dney", code=1)),
            Command(
                "operator",
                commands.READYZ,
                checks.last_good_policy(world, "rules/demo.csv:4"),
                within_s=30,
                shown_lines=_POLICY_LINES,
            ),
            Command("bob", "portcullis can-i deploy deploy-prod/payments", printed("allowed: deploy")),
            Command("platform-team", f"{commands.GIT} revert --no-edit HEAD", printed("Revert")),
            Command("operator", commands.READYZ, checks.ready(world), within_s=30, shown_lines=_POLICY_LINES),
        ],
    )


def _audit(world: World) -> list[Step]:
    altered: list[str] = []
    return [
        Step(
            "Who did what, under which rule",
            "Every request left a record before anything was forwarded, denied ones too. Each names the person, the "
            "rule's file and line, and the policy commit. The log's tree is signed; `verify` checks all of it.",
            [
                Command(
                    "operator",
                    commands.SEARCH,
                    printed(
                        "allowed user:bob POST deploy-prod",
                        "deploy deploy-prod/payments rules/deploy.csv:5 ok 200",
                        "denied user:bob POST deploy-prod",
                        "deploy deploy-prod/payments no_matching_rule answered 403",
                    ),
                ),
                Command("operator", commands.WHICH_COMMIT, checks.decided_under(world)),
                Command("operator", commands.AUDIT.format("verify"), printed("verified:")),
            ],
        ),
        Step(
            "A record is altered behind the gateway's back",
            "Somebody with the database file wants bob's denied deploy to be alice's. The database's own guard stops a "
            "plain update. Whoever owns the file can take the guard off, and put it back after; the tree still tells. "
            "This is done to a copy, so that the demo's own log stays whole.",
            [
                Command("operator", commands.COPY_THE_LOG, printed()),
                Command("operator", commands.UPDATE_THE_COPY, printed("UPDATE is refused", code=1)),
                Command("operator", commands.FORGE_THE_COPY, checks.keeping(altered, "altered record ")),
                Command("operator", commands.VERIFY_THE_COPY, checks.finds(altered)),
                Command("operator", commands.AUDIT.format("verify"), printed("verified:")),
            ],
        ),
    ]


def _is_bob(answer: Answer) -> None:
    response = answer.http()
    same("status", response.status, 200)
    same("who it is", response.json()["subject"], "user:bob")


def _not_a_deployer(answer: Answer) -> None:
    response = answer.http()
    same("status", response.status, 403)
    same("Buildbot's reason", response.json()["error"]["message"], "you need to have role 'deployers'")
