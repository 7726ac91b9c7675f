"""Superset's tables, roles and two users, made or brought up to date; run again it changes nothing.

`admin` may do everything. `analyst` sees the dashboards, makes charts of its own and asks SQL Lab; what it may read is
decided by the role Marts (dashboards/server/publish.py) and by its user of ClickHouse. All of it is one process, because
every start of Superset costs many seconds.
"""

import os

from flask_migrate import upgrade
from superset.app import create_app

READERS = ("Gamma", "sql_lab", "Marts")
"""Superset's own roles for who makes charts and for who asks SQL Lab, and ours for what may be read."""


def main() -> None:
    """Migrate, define the roles, make the users."""
    with create_app().app_context():
        upgrade()
        _roles_and_users()


def _roles_and_users() -> None:
    from superset import appbuilder, db, security_manager

    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()
    security_manager.add_role("Marts")
    for name, roles in {"admin": ("Admin",), "analyst": READERS}.items():
        password = os.environ[f"SUPERSET_{name.upper()}_PASSWORD"]
        granted = [security_manager.find_role(role) for role in roles]
        user = security_manager.find_user(username=name)
        if user is None:
            mail = f"{name}@millrace.invalid"
            security_manager.add_user(name, name.capitalize(), "", mail, granted, password=password)
        else:
            user.roles = granted
            security_manager.reset_password(user.id, password)
    db.session.commit()


if __name__ == "__main__":
    main()
