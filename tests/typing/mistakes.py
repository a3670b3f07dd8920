"""Each marked line must be an error: an ignore that is not needed fails the check."""

from replicate_rs import AsyncReplicate, Replicate


def mistakes(client: Replicate, aclient: AsyncReplicate) -> None:
    client.predictions.get(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.predictions.get("x", nope=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.predictions.create("v", {}, "third")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.run("o/n", timeout="5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.run("o/n", wait={"mode": "sleep"})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.predictions.get("x").statsu  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    aclient.predictions.get("x").status  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    Replicate(token="x")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    Replicate(max_retries="5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
