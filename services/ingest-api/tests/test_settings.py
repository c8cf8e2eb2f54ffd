import pytest

from ingest_api.settings import Settings
from kartoteka_runtime.env import SettingsError

NEEDED = {
    "API_KEYS_FILE": "keys.json",
    "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092",
    "QDRANT_URL": "http://localhost:6333",
    "OBJECT_STORE_URL": "file:///tmp/objects",
    "VIEW_PATH": "view",
    "EMBEDDINGS_URLS": "http://one:8081, https://two",
}


def test_what_is_needed_is_enough() -> None:
    assert Settings.load(NEEDED).embeddings.urls == ("http://one:8081", "https://two")


@pytest.mark.parametrize("name", ["QDRANT_URL", "EMBEDDINGS_URLS"])
def test_an_address_without_its_scheme_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.load(NEEDED | {name: "localhost:6333"})
