"""Charts: exact figures as a table, and what the script draws."""

import json
from decimal import Decimal

import pytest
from django.template import Context, Template

from config.office.charts import Chart, ChartColor, Mark, Series


def make_chart(**values):
    defaults = {
        "title": "Revenue by month",
        "heading": "Month",
        "labels": ["Jan", "Feb"],
        "series": [Series("Fees", [Decimal("100.10"), Decimal(0)]), Series("Usage", [None, Decimal("0.1")])],
    }
    return Chart(**defaults | values)


def render(chart):
    return Template("{% load charts %}{% chart chart %}").render(Context({"chart": chart}))


def test_the_table_has_the_exact_figures_and_a_dash_for_a_gap():
    chart = make_chart(write=lambda value: f"${value:,.2f}")
    assert chart.rows == [
        ("Jan", "", [("$100.10", ""), ("–", "")]),
        ("Feb", "", [("$0.00", ""), ("$0.10", "")]),
    ]


def test_labels_of_the_table_lead_where_the_bars_lead():
    html = render(make_chart(links=["/jan/", ""]))
    assert '<a class="ch-link" href="/jan/">Jan</a>' in " ".join(html.split()).replace("> ", ">").replace(" <", "<")
    assert html.count("<a ") == 1


def test_a_value_leads_to_its_own_page_unless_it_is_zero():
    problems = Series("Unknown name", [2, 0], links=["/names/jan/", "/names/feb/"])
    chart = make_chart(series=[problems, Series("Other", [1, 1])], links=["/jan/", "/feb/"])
    assert [link for _, _, values in chart.rows for _, link in values] == ["/names/jan/", "", "", ""]
    html = render(chart)
    assert 'href="/names/jan/"' in html
    assert "/names/feb/" not in html
    assert [series["links"] for series in json.loads(chart.spec)["series"]] == [["/names/jan/", ""], ["", ""]]


def test_only_a_chart_with_links_takes_the_keyboard():
    html = " ".join(render(make_chart(links=["/", ""])).split())
    assert 'tabindex="0" aria-label="Revenue by month. Arrow keys' in html
    assert "Arrow keys" not in render(make_chart())


def test_series_without_values_are_left_out():
    chart = make_chart(series=[Series("Fees", [1, 2]), Series("Credit", [0, None])])
    assert [series.name for series in chart.shown_series] == ["Fees"]
    assert [row[2] for row in chart.rows] == [[("1", "")], [("2", "")]]


@pytest.mark.parametrize("series", [[], [Series("Fees", [])], [Series("Fees", [0, None])]])
def test_chart_without_figures_says_so_instead_of_drawing_axes(series):
    html = render(make_chart(series=series, empty_text="No invoices in these months."))
    assert "No invoices in these months." in html
    assert "<canvas" not in html


def test_series_take_the_colors_in_order_unless_they_have_one_with_a_meaning():
    chart = make_chart(series=[Series("A", [1, 1]), Series("Overdue", [1, 1], ChartColor.BAD), Series("B", [1, 1])])
    assert [series["colors"] for series in json.loads(chart.spec)["series"]] == [
        ["--ch-chart-1"],
        ["--ch-chart-bad"],
        ["--ch-chart-2"],
    ]


def test_the_script_receives_the_texts_and_the_marks():
    chart = make_chart(marks=[Mark("Free units", Decimal(1000))], write=lambda value: f"${value:,.2f}")
    spec = json.loads(chart.spec)
    assert spec["series"][0]["values"] == [100.1, 0.0]
    assert spec["series"][0]["texts"] == ["$100.10", "$0.00"]
    assert spec["marks"] == [{"name": "Free units", "value": 1000.0, "isVertical": False}]


def test_charts_in_several_currencies_are_tabs_with_a_table_each():
    html = render([make_chart(tab="USD"), make_chart(tab="EUR")])
    assert html.count('class="ch-tab"') == 2
    assert html.count("<table") == 2
    assert 'class="ch-tab"' not in render(make_chart(tab="USD"))


def test_no_charts_at_all_render_nothing():
    assert render([]).strip() == ""


def test_sparkbars_keep_small_values_visible():
    html = Template('{% load charts %}{% sparkbars days "Usage" %}').render(Context({"days": [0, 1, Decimal(10_000)]}))
    assert html.count("<rect") == 2
    assert 'height="1"' in html
    assert 'aria-label="Usage"' in html
