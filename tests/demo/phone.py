"""A phone without a person: reads what `portcullis login --device` prints, opens it, compares the code, says yes.

What it reads it prints again, so that it is seen.
"""

import re
import sys
from urllib.parse import parse_qs, urlsplit

from tests.parts.http_browser import http_browser
from tests.parts.scripted_person import go_through, remembered_accounts

_CODE = re.compile(r"[A-Z0-9]{4}-[A-Z0-9]{4}")
_PROVIDER = "corp"


def main() -> None:
    """Log the device in at the address that stands in the text on standard input."""
    code = ""
    for line in sys.stdin:
        print(line, end="", file=sys.stderr, flush=True)
        text = line.strip()
        if _CODE.fullmatch(text):
            code = text
        elif text.startswith("http") and "user_code" in parse_qs(urlsplit(text).query):
            if parse_qs(urlsplit(text).query)["user_code"] != [code]:
                raise SystemExit("the address holds another code")
            with http_browser() as browser:
                page = go_through(browser, text, remembered_accounts(), provider=_PROVIDER)
            print(f"[the phone] {page.text.partition(' · ')[0]}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
