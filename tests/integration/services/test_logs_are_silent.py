"""What people entrust to the services stands in no log: looked for after traffic that went well and that went wrong."""

import re
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from tests.integration.services.people import PASSWORD, Person, mailed_code
from tests.integration.services.shop import Shop

PROCESSES = ("users", "sessions", "orders", "mail", "migrations")
TOKENS = re.compile(r"ses_[\w-]{20,}|eyJ[\w-]+\.[\w-]+|\$argon2|[\w.+-]+@(people|example|moved)\.\w+", re.IGNORECASE)


def logs(shop: Shop) -> dict[str, str]:
    folder = Path(shop.env["MILLRACE_HOME"]) / "logs"
    return {
        path.name: path.read_text(errors="replace")
        for path in folder.iterdir()
        if path.name.partition(".")[0] in PROCESSES
    }


def test_no_log_holds_anything_personal_or_secret(people: Callable[..., Person], shop: Shop) -> None:
    person = people("support")
    mark = uuid4().hex
    secret = f"secret {mark} phrase"
    session = person.session()
    token = person.exchange(session).json()["access_token"]
    path = f"/users/{person.id}"
    code = mailed_code(shop, person.email, "Confirm your e-mail address")
    user = {"email": f"{mark}@people.example", "full_name": f"Name {mark}", "country": "DE", "password": secret}
    for method, where, body in (
        ("PATCH", path, {"full_name": f"Name {mark}", "email": f"{mark}@people.example"}),
        ("PATCH", path, {"full_name": f"Name {mark}" * 50}),
        ("PATCH", path, {mark: mark}),
        ("POST", "/users", user),
        ("POST", "/users", {**user, "country": mark}),
        ("POST", f"{path}/addresses", {"kind": mark, "line1": mark}),
        ("PUT", f"{path}/password", {"current_password": secret, "new_password": secret}),
        ("POST", "/email-verifications", {"code": code}),
        ("POST", "/password-resets", {"email": f"{mark}@people.example"}),
        ("POST", "/password-resets:confirm", {"code": mark, "new_password": secret}),
        ("GET", f"/users?cursor={mark}", None),
    ):
        assert person.call(method, where, token=token, json=body).status_code < 500, where
    Person(person.http, shop, person.id, f"{mark}@people.example", secret).log_in()
    person.call("GET", "/sessions", token=session, service="sessions")
    person.call("DELETE", path, token=token)
    written = logs(shop)
    assert {"users.log", "sessions.log"} <= set(written)
    assert '"path":"/users' in written["users.log"].replace(" ", ""), "the requests were not logged at all"
    secrets = [value for name, value in shop.env.items() if name.endswith("_CLIENT_SECRET")]
    for name, text in written.items():
        for sought in (mark, person.email, session, token, code, PASSWORD, "Quartermain", *secrets):
            assert sought not in text, name
        found = TOKENS.search(text)
        assert found is None, (name, found)
