"""Secrets Manager as boto3 sees it."""

import json
import string

import boto3
from botocore.exceptions import ClientError

sm = boto3.client("secretsmanager")


def refused(code, call, **parameters):
    try:
        call(**parameters)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == (403 if code == "AccessDeniedException" else 400), error
        return error.response["Error"]["Message"]
    raise SystemExit(f"{parameters} should have ended with {code}")


def versions():
    made = sm.create_secret(Name="prod/db", SecretString='{"user":"a","password":"first"}', Description="of the database",
                            Tags=[{"Key": "team", "Value": "blue"}])
    arn, first = made["ARN"], made["VersionId"]
    assert arn.startswith("arn:aws:secretsmanager:us-east-1:000000000000:secret:prod/db-") and len(arn.split("-")[-1]) == 6, arn
    for given in ("prod/db", arn, arn[:-7]):
        got = sm.get_secret_value(SecretId=given)
        assert (got["VersionId"], got["VersionStages"], got["SecretString"]) == (first, ["AWSCURRENT"], '{"user":"a","password":"first"}')
    second = sm.put_secret_value(SecretId=arn, SecretBinary=b"\0second")["VersionId"]
    got = sm.get_secret_value(SecretId=arn)
    assert got["SecretBinary"] == b"\0second" and "SecretString" not in got and got["VersionId"] == second
    assert sm.get_secret_value(SecretId=arn, VersionStage="AWSPREVIOUS")["VersionId"] == first
    # The same request once more is the same version; another value under its token is none.
    token = "t" * 32
    for _ in range(2):
        assert sm.put_secret_value(SecretId=arn, SecretString="third", ClientRequestToken=token, VersionStages=["PENDING"])["VersionId"] == token
    assert "already in use" in refused("ResourceExistsException", sm.put_secret_value, SecretId=arn, SecretString="4", ClientRequestToken=token)
    assert sm.get_secret_value(SecretId=arn)["VersionId"] == second
    assert sm.get_secret_value(SecretId=arn, VersionStage="PENDING")["SecretString"] == "third"
    refused("InvalidParameterException", sm.update_secret_version_stage, SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token)
    sm.update_secret_version_stage(SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=second)
    stages = sm.describe_secret(SecretId=arn)["VersionIdsToStages"]
    assert {k: sorted(v) for k, v in stages.items()} == {token: ["AWSCURRENT", "PENDING"], second: ["AWSPREVIOUS"]}, stages
    listed = sm.list_secret_version_ids(SecretId=arn)["Versions"]
    assert {v["VersionId"] for v in listed} == {token, second}
    assert len(sm.list_secret_version_ids(SecretId=arn, IncludeDeprecated=True)["Versions"]) == 3
    fourth = sm.update_secret(SecretId=arn, SecretString="fourth", Description="changed")["VersionId"]
    assert sm.get_secret_value(SecretId=arn)["VersionId"] == fourth
    shown = sm.describe_secret(SecretId=arn)
    assert shown["Description"] == "changed" and shown["LastAccessedDate"] and shown["Tags"] == [{"Key": "team", "Value": "blue"}]
    assert "staging label: none" in refused("ResourceNotFoundException", sm.get_secret_value, SecretId=arn, VersionStage="none")
    refused("ResourceNotFoundException", sm.get_secret_value, SecretId=arn, VersionId="x" * 32)
    refused("InvalidRequestException", sm.get_secret_value, SecretId=arn, VersionId=fourth, VersionStage="AWSPREVIOUS")
    for turn in range(110):
        sm.put_secret_value(SecretId=arn, SecretString=str(turn))
    page = sm.list_secret_version_ids(SecretId=arn, IncludeDeprecated=True, MaxResults=60)
    rest = sm.list_secret_version_ids(SecretId=arn, IncludeDeprecated=True, NextToken=page["NextToken"])
    assert (len(page["Versions"]), len(rest["Versions"])) == (60, 40) and "NextToken" not in rest


def deletion():
    arn = sm.create_secret(Name="going", SecretString="x")["ARN"]
    refused("InvalidParameterException", sm.delete_secret, SecretId=arn, RecoveryWindowInDays=6)
    refused("InvalidParameterException", sm.delete_secret, SecretId=arn, RecoveryWindowInDays=7, ForceDeleteWithoutRecovery=True)
    sm.delete_secret(SecretId="going", RecoveryWindowInDays=7)
    for call, more in [(sm.get_secret_value, {}), (sm.put_secret_value, {"SecretString": "y"}), (sm.delete_secret, {}), (sm.tag_resource, {"Tags": []})]:
        assert "marked for deletion" in refused("InvalidRequestException", call, SecretId=arn, **more)
    assert "already scheduled for deletion" in refused("InvalidRequestException", sm.create_secret, Name="going", SecretString="z")
    names = lambda **more: [s["Name"] for s in sm.list_secrets(**more)["SecretList"]]
    assert "going" not in names() and "going" in names(IncludePlannedDeletion=True)
    assert sm.describe_secret(SecretId=arn)["DeletedDate"]
    sm.restore_secret(SecretId=arn)
    assert sm.get_secret_value(SecretId=arn)["SecretString"] == "x"
    for _ in range(2):
        sm.delete_secret(SecretId="going", ForceDeleteWithoutRecovery=True)
    refused("ResourceNotFoundException", sm.describe_secret, SecretId=arn)
    again = sm.create_secret(Name="going", SecretString="new")["ARN"]
    assert again != arn
    refused("ResourceNotFoundException", sm.get_secret_value, SecretId=arn)


def listing():
    for n in range(5):
        sm.create_secret(Name=f"list/{n}", SecretString=str(n), Tags=[{"Key": "n", "Value": str(n)}])
    pages = list(sm.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": ["list/"]}], PaginationConfig={"PageSize": 2}))
    assert [[s["Name"] for s in page["SecretList"]] for page in pages] == [["list/0", "list/1"], ["list/2", "list/3"], ["list/4"]]
    named = lambda *filters: {s["Name"] for s in sm.list_secrets(Filters=[{"Key": k, "Values": v} for k, v in filters])["SecretList"]}
    assert named(("name", ["list/"]), ("tag-value", ["3", "4"])) == {"list/3", "list/4"}
    assert named(("name", ["list/"]), ("tag-value", ["!3"])) == {f"list/{n}" for n in (0, 1, 2, 4)}
    assert named(("all", ["LIST/1"])) == {"list/1"}
    refused("InvalidParameterException", sm.list_secrets, Filters=[{"Key": "colour", "Values": ["x"]}])
    got = sm.batch_get_secret_value(SecretIdList=["list/1", "nothing"])
    assert [v["SecretString"] for v in got["SecretValues"]] == ["1"]
    assert [(e["SecretId"], e["ErrorCode"]) for e in got["Errors"]] == [("nothing", "ResourceNotFoundException")]
    got = sm.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["list/"]}])
    assert sorted(v["SecretString"] for v in got["SecretValues"]) == list("01234")
    sm.tag_resource(SecretId="list/0", Tags=[{"Key": "more", "Value": "1"}])
    sm.untag_resource(SecretId="list/0", TagKeys=["n"])
    assert sm.describe_secret(SecretId="list/0")["Tags"] == [{"Key": "more", "Value": "1"}]


def passwords():
    make = lambda **more: sm.get_random_password(**more)["RandomPassword"]
    word = make()
    assert len(word) == 32 and make() != word
    for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation):
        assert set(word) & set(kind), word
    assert set(make(PasswordLength=400, ExcludePunctuation=True, ExcludeUppercase=True, ExcludeCharacters="abc0")) <= set("defghijklmnopqrstuvwxyz123456789")
    assert " " in make(PasswordLength=4000, IncludeSpace=True)
    refused("InvalidParameterException", sm.get_random_password, PasswordLength=2)
    refused("InvalidParameterException", sm.get_random_password, PasswordLength=5000)


def policies():
    arn = sm.create_secret(Name="shared", SecretString="x")["ARN"]
    open_to_all = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}]})
    refused("PublicPolicyException", sm.put_resource_policy, SecretId=arn, ResourcePolicy=open_to_all, BlockPublicPolicy=True)
    refused("MalformedPolicyDocumentException", sm.put_resource_policy, SecretId=arn, ResourcePolicy="{}")
    assert not sm.validate_resource_policy(ResourcePolicy=open_to_all)["PolicyValidationPassed"]
    iam = boto3.client("iam")
    for name in ("allowed", "denied"):
        iam.create_user(UserName=name)
    keys = {n: iam.create_access_key(UserName=n)["AccessKey"] for n in ("allowed", "denied")}
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*",
                                                      "Principal": {"AWS": "arn:aws:iam::000000000000:user/allowed"}}]}
    sm.put_resource_policy(SecretId=arn, ResourcePolicy=json.dumps(policy))
    assert json.loads(sm.get_resource_policy(SecretId=arn)["ResourcePolicy"]) == policy
    as_user = lambda n: boto3.client("secretsmanager", aws_access_key_id=keys[n]["AccessKeyId"], aws_secret_access_key=keys[n]["SecretAccessKey"])
    assert as_user("allowed").get_secret_value(SecretId="shared")["SecretString"] == "x"
    refused("AccessDeniedException", as_user("denied").get_secret_value, SecretId="shared")
    refused("AccessDeniedException", as_user("allowed").delete_secret, SecretId="shared")
    # The right to ask for several is no right to any of them.
    may = lambda *actions: iam.put_user_policy(UserName="denied", PolicyName="p", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": [f"secretsmanager:{a}" for a in actions], "Resource": "*"}]}))
    may("BatchGetSecretValue", "ListSecrets")
    refused("AccessDeniedException", as_user("denied").batch_get_secret_value, SecretIdList=["shared"])
    refused("AccessDeniedException", as_user("denied").batch_get_secret_value, Filters=[{"Key": "name", "Values": ["shared"]}])
    may("BatchGetSecretValue", "GetSecretValue")
    assert as_user("denied").batch_get_secret_value(SecretIdList=["shared"])["SecretValues"][0]["SecretString"] == "x"
    iam.delete_user_policy(UserName="denied", PolicyName="p")
    sm.delete_resource_policy(SecretId=arn)
    refused("AccessDeniedException", as_user("allowed").get_secret_value, SecretId="shared")
    assert "ResourcePolicy" not in sm.get_resource_policy(SecretId=arn)


def bad_input():
    sm.create_secret(Name="empty")
    assert "staging label: AWSCURRENT" in refused("ResourceNotFoundException", sm.get_secret_value, SecretId="empty")
    refused("InvalidRequestException", sm.put_secret_value, SecretId="empty")
    refused("ResourceExistsException", sm.create_secret, Name="empty", SecretString="x")
    refused("InvalidParameterException", sm.create_secret, Name="a b", SecretString="x")
    refused("InvalidParameterException", sm.create_secret, Name="both", SecretString="x", SecretBinary=b"x")
    refused("InvalidParameterException", sm.create_secret, Name="long", SecretString="x" * 65537)
    refused("InvalidParameterException", sm.get_secret_value, SecretId="arn:aws:s3:::x")
    refused("LimitExceededException", sm.create_secret, Name="tags", Tags=[{"Key": str(n), "Value": ""} for n in range(51)])
    for call in (sm.describe_secret, sm.get_secret_value, sm.delete_secret, sm.restore_secret, sm.get_resource_policy, sm.list_secret_version_ids):
        refused("ResourceNotFoundException", call, SecretId="nothing")
    refused("InvalidNextTokenException", sm.list_secrets, NextToken="x")
    try:
        sm.rotate_secret(SecretId="empty")
    except ClientError as error:
        assert error.response["Error"]["Message"] == "not implemented: secretsmanager.RotateSecret", error


versions()
deletion()
listing()
passwords()
policies()
bad_input()
