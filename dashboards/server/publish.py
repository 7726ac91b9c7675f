"""The files of dashboards/assets put into Superset: what they say is there, what they no longer say is gone.

Superset's own import overwrites what has a uuid of the files and leaves everything else, so a chart whose file was removed
would stay for ever. Each thing that comes from a file carries the file's name (`external_url`); after the import those whose
uuid no file has are deleted, and nothing that somebody made by hand. All of it is one transaction: with a file that Superset
refuses, everything stays as it was. Run again it changes nothing.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

import yaml
from flask import g
from superset.app import create_app

ASSETS = Path(__file__).resolve().parents[1] / "assets"
ORIGIN = "dashboards/assets/"


def contents(folder: Path = ASSETS) -> dict[str, str]:
    """Each file for the import: with its origin, addresses and passwords filled in from the environment."""
    given = {**os.environ, "CLICKHOUSE_ADDRESS": urlsplit(os.environ["CLICKHOUSE_URL"]).netloc}
    made = {}
    for path in sorted(folder.glob("**/*.yaml")):
        place = str(path.relative_to(folder))
        content: dict[str, Any] = yaml.safe_load(path.read_text())
        if "uuid" in content:
            content["external_url"] = ORIGIN + place
        if "sqlalchemy_uri" in content:
            content["sqlalchemy_uri"] = Template(content["sqlalchemy_uri"]).substitute(given)
        made[place] = yaml.safe_dump(content)
    return made


def main() -> int:
    """Import and remove, from the folder that is named or from ours; 1 with a line for each file that Superset refuses."""
    from superset.commands.exceptions import CommandInvalidError, ImportFailedError

    files = contents(*map(Path, sys.argv[1:]))
    with create_app().app_context():
        from superset import security_manager

        g.user = security_manager.find_user(username="admin")
        try:
            removed = publish(files)
        except CommandInvalidError as error:
            print(f"Superset refuses {error.normalized_messages()}", file=sys.stderr)
            return 1
        except ImportFailedError as error:
            print(f"Superset refuses the files: {error.__cause__ or error}", file=sys.stderr)
            return 1
    print(f"{len(files)} files published; removed: {', '.join(removed) or 'nothing'}")
    return 0


def publish(files: dict[str, str]) -> list[str]:
    """Bring Superset to what the files say; returns the origins of what was removed."""
    from superset.utils.decorators import transaction

    removed: list[str] = transaction()(_publish)(files)
    return removed


def _publish(files: dict[str, str]) -> list[str]:
    from superset.commands.importers.v1.assets import ImportAssetsCommand

    ImportAssetsCommand(files).run()
    removed = _remove(yaml.safe_load(text).get("uuid") for text in files.values())
    _readers()
    return removed


def _remove(kept: Iterable[str | None]) -> list[str]:
    """Delete what came from files that are gone, what uses others first. A dataset that somebody's own chart uses stays."""
    from superset import db
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.core import Database
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    uuids, removed = set(kept), []
    for model in (Dashboard, Slice, SqlaTable, Database):
        for one in db.session.query(model).filter(model.external_url.like(f"{ORIGIN}%")).all():
            if str(one.uuid) in uuids or (isinstance(one, SqlaTable | Database) and _used(one)):
                continue
            removed.append(one.external_url)
            db.session.delete(one)
        db.session.flush()
    return removed


def _used(one: Any) -> bool:
    """Whether charts ask the dataset, or datasets the connection."""
    from superset import db
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.slice import Slice

    if isinstance(one, SqlaTable):
        asking = db.session.query(Slice).filter_by(datasource_id=one.id, datasource_type="table")
    else:
        asking = db.session.query(SqlaTable).filter_by(database_id=one.id)
    return bool(asking.count())


def _readers() -> None:
    """The role Marts reads the connections of the files and nothing else."""
    from superset import db, security_manager
    from superset.models.core import Database

    role = security_manager.find_role("Marts")
    connections = db.session.query(Database).filter(Database.external_url.like(f"{ORIGIN}%")).all()
    role.permissions = [
        security_manager.add_permission_view_menu("database_access", connection.perm) for connection in connections
    ]


if __name__ == "__main__":
    sys.exit(main())
