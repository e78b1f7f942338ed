"""The lines that the demo's people type."""

READYZ = "curl -s $GATEWAY/-/readyz"
LOGIN = "portcullis login --gateway $GATEWAY --provider {}"
DEVICE_LOGIN = "portcullis login --gateway $GATEWAY --device 2> >(phone)"
SESSIONS_OF_BOB = "portcullis sessions --person user:bob"
REVOKE_BOB = "portcullis revoke --person user:bob"
COPY_THE_TOKEN = "portcullis token > stolen.token"
USE_THE_COPY = 'curl -si -H "Authorization: Bearer $(cat stolen.token)" $GATEWAY/-/api/v1/whoami'
GET = 'curl -si -H "Authorization: Bearer $(portcullis token)"'
DEPLOY = f"""{GET} -H 'Content-Type: application/json' \\
  -d '{{"jsonrpc": "2.0", "id": 1, "method": "force", "params": {{"reason": "release 42"}}}}' \\
  $GATEWAY/deploy-prod/api/v2/forceschedulers/payments-force"""
BUILDS = f"{GET} $GATEWAY/deploy-prod/api/v2/builders/payments/builds"
TAMPERED = """token=$(portcullis token)
curl -si -H "Authorization: Bearer ${token%?????}AAAAA" $GATEWAY/aws-staging/invoices/2026/42.txt"""

# AWS's tools ask for keys; the gateway looks at the session token only.
AWS_SHELL = "AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_SESSION_TOKEN=$(portcullis token)"
AWS = f"{AWS_SHELL} \\\n  aws --endpoint-url $GATEWAY/aws-staging"
READ_LOGS = f"""{AWS} logs filter-log-events \\
  --log-group-name payments --query 'events[].message'"""
PUT_AND_GET = f"""{AWS_SHELL} python - <<'EOF'
import boto3, os
s3 = boto3.client("s3", endpoint_url=os.environ["GATEWAY"] + "/aws-staging")
s3.put_object(Bucket="invoices", Key="2026/42.txt", Body=b"42 pieces of silver")
print(s3.get_object(Bucket="invoices", Key="2026/42.txt")["Body"].read().decode())
EOF"""
COPY_A_FILE = f"echo 'all paid' > report.txt\n{AWS} s3 cp --no-progress report.txt s3://invoices/2026/report.txt"
PAST_THE_GATEWAY = "AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any aws --endpoint-url $AWS s3 ls s3://invoices"

GIT = "git -C policies"
GRANT = "echo 'g, user:bob, role:deployer' >> policies/rules/roles.csv"
SLIP = "echo 'p, role:developer, prod, deploy-prod/*, deploy, dney,' >> policies/rules/demo.csv"

AUDIT = "portcullis audit {} --config gateway/portcullis.yaml"
SEARCH = AUDIT.format("search") + " --actor user:bob"
WHO_REVOKED = AUDIT.format("search") + " --kind authn --actor user:alice"
WHICH_COMMIT = f"""{SEARCH} --kind decision --format json | python -c '
import json, sys
for event in json.load(sys.stdin):
    record = event["record"]
    print(record["verdict"], record["accesses"][0]["action"], "under", record["policy"]["commit"])'
git -C policies log --format='%H %s'"""
COPY_THE_LOG = """cat > blame-alice.sql <<'EOF'
UPDATE audit_log
SET actor = 'user:alice', body = CAST(replace(CAST(body AS TEXT), 'user:bob', 'user:alice') AS BLOB)
WHERE actor = 'user:bob' AND verdict = 'denied' RETURNING idx
EOF
python - <<'EOF'
import sqlite3
log = sqlite3.connect("file:gateway/var/portcullis.db?mode=ro", uri=True)
log.backup(sqlite3.connect("gateway/var/copy.db"))
EOF"""
UPDATE_THE_COPY = """python - <<'EOF'
import sqlite3
sqlite3.connect("gateway/var/copy.db").execute(open("blame-alice.sql").read())
EOF"""
FORGE_THE_COPY = """python - <<'EOF'
import sqlite3
copy = sqlite3.connect("gateway/var/copy.db", isolation_level=None)
[guard] = copy.execute("SELECT sql FROM sqlite_master WHERE name = 'audit_log_no_update'").fetchone()
copy.execute("DROP TRIGGER audit_log_no_update")
print("altered record", *copy.execute(open("blame-alice.sql").read()).fetchall()[0])
copy.execute(guard)
EOF"""
VERIFY_THE_COPY = "PORTCULLIS_DATABASE=sqlite:///var/copy.db " + AUDIT.format("verify")
