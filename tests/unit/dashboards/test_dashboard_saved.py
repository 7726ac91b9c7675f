"""What Superset exports becomes the files that it was published from, without what Superset adds."""

import copy
from pathlib import Path
from typing import Any

import yaml

from dashboards import saved
from dashboards.files import ASSETS, read

FILES = read()


def exported() -> dict[str, dict[str, Any]]:
    """The sales page as Superset would export it: with numbers of its own, and with what it adds."""
    page = yaml.safe_load((ASSETS / "dashboards" / "sales.yaml").read_text())
    contents: dict[str, dict[str, Any]] = {}
    for child in page["position"].values():
        if isinstance(child, dict) and child["type"] == "CHART":
            child["meta"]["chartId"] += 170
            child["meta"]["sliceNameOverride"] = None
            path = next(one.path for one in FILES.charts if str(one.uuid) == child["meta"]["uuid"])
            chart = yaml.safe_load((ASSETS / path).read_text())
            chart["params"] |= {"datasource": "7__table", "slice_id": child["meta"]["chartId"], "row_limit_none": None}
            chart |= {"query_context": "{}", "cache_timeout": None, "certified_by": None}
            contents[f"charts/{path.stem}_{child['meta']['chartId']}.yaml"] = chart
    page["metadata"] |= {"chart_configuration": {"171": {"id": 171}}, "map_label_colors": {}, "default_filters": "{}"}
    page["metadata"]["native_filter_configuration"][0] |= {"chartsInScope": [171], "tabsInScope": []}
    page |= {"css": "", "certification_details": None}
    return contents | {"dashboards/Sales_3.yaml": page}


def test_an_export_of_what_was_published_is_the_files() -> None:
    for path, content in saved.saved(exported(), FILES).items():
        assert path.read_text() == content, path


def test_a_filter_that_leaves_a_chart_out_goes_on_to_leave_it_out() -> None:
    given = exported()
    page = given["dashboards/Sales_3.yaml"]
    left_out = page["position"]["CHART-orders"]["meta"]["chartId"]
    page["metadata"]["native_filter_configuration"][0]["scope"]["excluded"] = [left_out, 999]
    made = yaml.safe_load(saved.saved(given, FILES)[ASSETS / "dashboards" / "sales.yaml"])
    number = made["position"]["CHART-orders"]["meta"]["chartId"]
    assert made["metadata"]["native_filter_configuration"][0]["scope"]["excluded"] == [number]


def test_a_new_chart_gets_a_file_named_after_it_beside_those_of_its_page() -> None:
    given = exported()
    name = next(name for name in given if name.startswith("charts/orders_"))
    new = copy.deepcopy(given[name]) | {"uuid": "11111111-2222-4333-8444-555555555555", "slice_name": "Orders (now!)"}
    given["charts/Orders_now_9.yaml"] = new
    given["dashboards/Sales_3.yaml"]["position"]["CHART-new"] = {
        "id": "CHART-new", "type": "CHART", "children": [], "parents": ["ROOT_ID", "GRID_ID", "ROW-1"],
        "meta": {"chartId": 9, "height": 20, "width": 2, "sliceName": "Orders (now!)", "uuid": new["uuid"]},
    }  # fmt: skip
    assert ASSETS / "charts" / "sales" / "orders-now.yaml" in saved.saved(given, FILES, Path(ASSETS))


def test_an_annotation_of_a_charts_own_is_kept_to_be_refused() -> None:
    given = next(content for name, content in exported().items() if name.startswith("charts/"))
    given["params"]["annotation_layers"] = [{"annotationType": "FORMULA", "value": "1"}]
    assert "annotation_layers" in yaml.safe_load(saved.chart(given))["params"]
