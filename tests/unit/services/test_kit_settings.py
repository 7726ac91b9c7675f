"""Settings: a fault is one line that names the variable and its meaning, and never shows the value."""

import pytest
from pydantic import Field

from services.kit.settings import Dsn, Settings, Url, load


class Example(Settings):
    dsn: Dsn = Field(validation_alias="EXAMPLE_DSN", description="address of the example database")
    partner: Url = Field(
        default="http://127.0.0.1:1", validation_alias="PARTNER_URL", description="address of the partner"
    )


@pytest.fixture(autouse=True)
def good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "21010")
    monkeypatch.setenv("EXAMPLE_DSN", "postgresql://role:secret@127.0.0.1:1/example")


def test_settings_are_read_and_cannot_change() -> None:
    settings, field = load(Example), "port"
    assert (settings.port, settings.partner) == (21010, "http://127.0.0.1:1")
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings, field, 1)


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("EXAMPLE_DSN", None, "setting EXAMPLE_DSN (address of the example database) is not set"),
        ("EXAMPLE_DSN", "", "setting EXAMPLE_DSN (address of the example database) is not set"),
        ("EXAMPLE_DSN", "secret nonsense", "setting EXAMPLE_DSN (address of the example database) is wrong: not a"),
        (
            "EXAMPLE_DSN",
            "postgresql://127.0.0.1",
            "setting EXAMPLE_DSN (address of the example database) is wrong: names no",
        ),
        ("PORT", "secret", "setting PORT (port on 127.0.0.1 that the service answers on) is wrong: "),
        ("PORT", "70000", "setting PORT (port on 127.0.0.1 that the service answers on) is wrong: "),
        ("PARTNER_URL", "localhost:1", "setting PARTNER_URL (address of the partner) is wrong: not an address such as"),
    ],
)
def test_a_faulty_setting_is_one_line_and_exit_2(
    variable: str, value: str | None, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as exit_:
        load(Example)
    assert exit_.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith(line)
    assert printed.count("\n") == 1
    assert "secret" not in printed
