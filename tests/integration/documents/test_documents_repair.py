"""Repair of documents: what differs is read anew, what has no root goes, the rest is left alone."""

from importlib import import_module
from uuid import uuid4

import pytest

from cdc import documents
from cdc.errors import PermanentError
from cdc.sinks.positions import DOCUMENTS_GROUP
from tests.integration.documents.shop import Shop, running

GROUP = f"{DOCUMENTS_GROUP}-test-{uuid4().hex[:8]}"


@pytest.fixture(autouse=True)
def loaded(shop: Shop) -> None:
    documents.prepare(shop.trees, shop.config)
    documents.backfill(shop.file, shop.known, shop.trees, shop.config)


def repaired(shop: Shop) -> documents.MendedDocuments:
    """Repair the only tree."""
    [mended] = documents.repair(shop.file, shop.known, shop.trees, shop.config, shop.passed(GROUP))
    return mended


def spoil(shop: Shop, ware: str, *, version: int | None = None) -> None:
    """Write a wrong document for the ware, under a version just above the one it has."""
    document = (shop.document(ware) or {}) | {"id": ware, "name": "wrong"}
    version = version or shop.version(ware) + 1
    shop.client.index(index=shop.tree.index, id=ware, document=document, version=version, version_type="external")


def test_wrong_missing_and_superfluous_documents_are_mended_and_the_rest_is_left_alone(shop: Shop) -> None:
    with running(shop, GROUP):
        wrong, missing, right = (shop.add(70, name="right") for _ in range(3))
        shop.settle(GROUP)
        spoil(shop, wrong)
        shop.client.delete(
            index=shop.tree.index, id=missing, version=shop.version(missing) + 1, version_type="external"
        )
        rootless = str(uuid4())
        shop.client.index(
            index=shop.tree.index, id=rootless, document={"id": rootless}, version=1, version_type="external"
        )
        untouched = shop.version(right)
        mended = repaired(shop)
        assert (mended.differing, mended.rebuilt, mended.proof.equal) == (3, False, True)
        assert (shop.document(wrong) or {})["name"] == "right"
        assert (shop.document(missing) or {})["name"] == "right"
        assert shop.document(rootless) is None
        assert shop.version(right) == untouched
        assert repaired(shop).differing == 0


def test_an_index_of_which_much_differs_is_written_whole(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    repair = import_module("cdc.documents.repair")
    monkeypatch.setattr(repair, "FEW", 1)
    monkeypatch.setattr(repair, "SHARE", 0.0)
    with running(shop, GROUP):
        wares = [shop.add(71) for _ in range(3)]
        shop.settle(GROUP)
        for ware in wares:
            spoil(shop, ware)
        mended = repaired(shop)
        assert (mended.differing, mended.rebuilt, mended.proof.equal) == (3, True, True)


def test_a_document_version_that_the_source_cannot_have_given_is_refused(shop: Shop) -> None:
    with running(shop, GROUP):
        ware = shop.add(72)
        shop.settle(GROUP)
        spoil(shop, ware, version=(shop.known.epoch << 56) + (1 << 54))
        with pytest.raises(
            PermanentError, match=f"its log has stepped back; `millrace cdc epoch --raise {shop.file.source}`"
        ):
            repaired(shop)
        assert shop.proof(GROUP).keys == (ware,)
        shop.execute("DELETE FROM wares WHERE id = %s", ware)
        shop.settle(GROUP)
    documents.remove(shop.trees, shop.config)
