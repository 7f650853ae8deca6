"""What the checks of stacks share: their client, waiting with a deadline, and refusals by their words."""

import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)
stacks = boto3.client("cloudformation", config=config)


def fails(words, operation, **arguments):
    try:
        getattr(stacks, operation)(**arguments)
    except ClientError as error:
        assert words in str(error), (operation, error)
        return error.response["Error"]["Code"]
    raise AssertionError(f"{operation} {arguments} did not fail with {words}")


def until(what, look):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(what)


def described(name):
    return stacks.describe_stacks(StackName=name)["Stacks"][0]


def status(name):
    return described(name)["StackStatus"]


def events(name):
    """Of each the logical id, the status and the reason; the newest first."""
    found = stacks.describe_stack_events(StackName=name)["StackEvents"]
    return [(e["LogicalResourceId"], e["ResourceStatus"], e.get("ResourceStatusReason", "")) for e in found]


def ends(name, wanted):
    until(wanted, lambda: not status(name).endswith("IN_PROGRESS"))
    assert status(name) == wanted, (status(name), events(name))
    return events(name)
