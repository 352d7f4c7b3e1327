"""How many made-up inputs a test tries, the same ones each time."""

from hypothesis import HealthCheck, settings


def some(most: int) -> settings:
    return settings(
        max_examples=most,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
