"""The settings: required ones name themselves when they are missing."""

import pytest

from afterword.runtime.settings import MissingSettingError, Settings

REQUIRED = {
    "generations_table": "AFTERWORD_GENERATIONS_TABLE",
    "registry_table": "AFTERWORD_REGISTRY_TABLE",
    "queue_url": "AFTERWORD_QUEUE_URL",
    "bucket": "AFTERWORD_BUCKET",
    "contents_table": "AFTERWORD_CONTENTS_TABLE",
    "contents_bucket": "AFTERWORD_CONTENTS_BUCKET",
    "retention_days": "AFTERWORD_RETENTION_DAYS",
    "model_provider": "AFTERWORD_MODEL_PROVIDER",
    "model_id": "AFTERWORD_MODEL_ID",
    "model_url": "AFTERWORD_MODEL_URL",
}
"""The required settings by the property that reads them."""


@pytest.mark.parametrize(("setting", "variable"), REQUIRED.items())
@pytest.mark.parametrize("environ", [{}, dict.fromkeys(REQUIRED.values(), "")])
def test_a_missing_setting_names_itself(
    setting: str, variable: str, environ: dict[str, str]
) -> None:
    """A required setting that is absent or empty says which variable should have been set."""
    with pytest.raises(MissingSettingError) as missing:
        getattr(Settings(environ), setting)
    assert str(missing.value) == f"{variable} is not set: template.yaml gives it to each function"


@pytest.mark.parametrize(("setting", "variable"), REQUIRED.items())
def test_a_setting_is_read_from_its_variable(setting: str, variable: str) -> None:
    """Each setting has one variable, and the others do not matter to it."""
    assert str(getattr(Settings({variable: "30"}), setting)) == "30"


def test_the_retention_is_a_number() -> None:
    """The retention is a whole number of days."""
    assert Settings({"AFTERWORD_RETENTION_DAYS": "30"}).retention_days == 30


@pytest.mark.parametrize(
    ("environ", "arn"),
    [
        ({}, None),
        ({"AFTERWORD_MODEL_API_KEY_SECRET_ARN": ""}, None),
        ({"AFTERWORD_MODEL_API_KEY_SECRET_ARN": "arn:aws:x"}, "arn:aws:x"),
    ],
)
def test_the_models_key_is_optional(environ: dict[str, str], arn: str | None) -> None:
    """A model endpoint may need no key: then there is no secret."""
    assert Settings(environ).model_api_key_secret_arn == arn


@pytest.mark.parametrize(
    ("environ", "hosts"),
    [
        ({}, set()),
        ({"AFTERWORD_FETCH_ALLOWED": ""}, set()),
        ({"AFTERWORD_FETCH_ALLOWED": " LocalHost:1, ,b:2,"}, {"localhost:1", "b:2"}),
    ],
)
def test_hosts_that_may_be_anywhere_are_named(environ: dict[str, str], hosts: set[str]) -> None:
    """No host is allowed to be inside unless it is named, with its port."""
    assert Settings(environ).fetch_allowed == hosts


@pytest.mark.parametrize(("value", "compact"), [(None, True), ("true", True), ("false", False)])
def test_compact_items_can_be_turned_off(value: str | None, *, compact: bool) -> None:
    """Generations are stored compactly, unless the template says otherwise."""
    environ = {} if value is None else {"AFTERWORD_COMPACT_ITEMS": value}
    assert Settings(environ).compact_items is compact


@pytest.mark.parametrize(("value", "seconds"), [(None, 0.0), ("", 0.0), ("0", 0.0), ("5", 5.0)])
def test_flows_are_cached_where_the_template_says_so(value: str | None, seconds: float) -> None:
    """A process without the variable, such as the command line, keeps no flow."""
    environ = {} if value is None else {"AFTERWORD_FLOW_CACHE_SECONDS": value}
    assert Settings(environ).flow_cache_seconds == seconds
