"""Mistakes that type checkers must find: an ignore that is not needed is an error."""

from replicate_rs import Async, AsyncReplicate, FileOutput, Prediction, Replicate


def mistakes(client: Replicate, aclient: AsyncReplicate) -> None:
    client.predictions.get(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.predictions.get("x", nope=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.predictions.create("v", {}, "third")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.run("o/n", timeout="5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.run("o/n", wait={"mode": "sleep"})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.predictions.get("x").statsu  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    aclient.predictions.get("x").status  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    client.predictions.get(prediction_id="x")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.models.get(model_owner="o", model_name="n")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.models.get("o/n", key="o/n")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.files.create(content=b"x")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    Replicate(token="x")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    Replicate(max_retries="5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def blocking(prediction: Prediction) -> None:
    """Use a prediction of a blocking client."""


async def mistakes_of_mode(
    client: Replicate, aclient: AsyncReplicate, output: FileOutput[Async]
) -> None:
    blocking(await aclient.predictions.get("x"))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await client.predictions.get("x").reload()  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues]
    (await aclient.predictions.get("x")).reload()  # type: ignore[unused-coroutine] # pyright: ignore[reportUnusedCoroutine]
    for _ in output:  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues]
        pass
    output.read().decode()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    output.open().read()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    (await aclient.predictions.list()).get_next_page().results  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
