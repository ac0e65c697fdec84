import tfcourse

RIGHT = """
def add(a, b):
    return a + b

class Mean:
    def of(self, values):
        return "<script>alert(1)</script>"
"""


def test_the_report_is_shown_as_html_and_text(sums):
    namespace: dict = {}
    exec(RIGHT, namespace)
    report = tfcourse.check("90", namespace)
    assert report.status == "fail"
    page = report._repr_html_()
    assert "one and two make three" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "the mean is wrong: expected 1.5" in repr(report)


def test_a_missing_function_is_named(sums):
    report = tfcourse.check("90", {}, task="add")
    assert report.status == "error"
    assert "does not define add()" in repr(report)
