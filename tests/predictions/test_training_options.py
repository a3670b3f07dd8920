"""Options that predictions have and trainings do not."""

import pytest

import replicate_rs as replicate


@pytest.mark.parametrize("option", ["wait", "prefer", "cancel_after", "stream"])
def test_an_option_of_predictions_is_refused(option):
    value = "wait" if option == "prefer" else 5 if option == "cancel_after" else True
    client = replicate.Replicate("token", base_url="http://127.0.0.1:9")
    with pytest.raises(TypeError, match=f"'{option}'.*trainings do not"):
        client.trainings.create(
            version="acme/base:v1", input={}, destination="acme/tuned", **{option: value}
        )
