"""Keys through boto3: what they do, for whom, and every declared error."""

import json
import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

kms = boto3.client("kms")
iam = boto3.client("iam")
sts = boto3.client("sts")


def fails(code, operation, client=kms, **arguments):
    try:
        getattr(client, operation)(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, (operation, arguments, error)
        return error
    raise AssertionError(f"{operation} {arguments} did not fail with {code}")


# Symmetric keys.
made = kms.create_key(Description="d", Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
assert made["KeySpec"] == "SYMMETRIC_DEFAULT" and made["KeyState"] == "Enabled" and made["KeyUsage"] == "ENCRYPT_DECRYPT", made
key, arn = made["KeyId"], made["Arn"]
assert kms.describe_key(KeyId=arn)["KeyMetadata"]["CreationDate"] == made["CreationDate"]
context = {"department": "10"}
sealed = kms.encrypt(KeyId=key, Plaintext=b"hello", EncryptionContext=context)
assert sealed["KeyId"] == arn and b"hello" not in sealed["CiphertextBlob"]
assert kms.encrypt(KeyId=key, Plaintext=b"hello")["CiphertextBlob"] != sealed["CiphertextBlob"]
opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
assert opened["Plaintext"] == b"hello" and opened["KeyId"] == arn
fails("InvalidCiphertextException", "decrypt", CiphertextBlob=sealed["CiphertextBlob"])
damaged = sealed["CiphertextBlob"][:-1] + bytes([sealed["CiphertextBlob"][-1] ^ 1])
fails("InvalidCiphertextException", "decrypt", CiphertextBlob=damaged, EncryptionContext=context)
fails("InvalidCiphertextException", "decrypt", CiphertextBlob=b"not one of ours")
fails("ValidationException", "encrypt", KeyId=key, Plaintext=b"x" * 4097)
fails("DryRunOperationException", "encrypt", KeyId=key, Plaintext=b"x", DryRun=True)

# Data keys.
data = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)
assert len(data["Plaintext"]) == 32
assert kms.decrypt(CiphertextBlob=data["CiphertextBlob"], EncryptionContext=context)["Plaintext"] == data["Plaintext"]
assert len(kms.generate_data_key(KeyId=key, NumberOfBytes=7)["Plaintext"]) == 7
assert "Plaintext" not in kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_128")
fails("ValidationException", "generate_data_key", KeyId=key)
assert len(kms.generate_random(NumberOfBytes=1024)["Plaintext"]) == 1024

# Aliases, and another key.
other = kms.create_key()["KeyMetadata"]["KeyId"]
kms.create_alias(AliasName="alias/shop", TargetKeyId=key)
fails("AlreadyExistsException", "create_alias", AliasName="alias/shop", TargetKeyId=other)
fails("InvalidAliasNameException", "create_alias", AliasName="shop", TargetKeyId=key)
fails("InvalidAliasNameException", "create_alias", AliasName="alias/aws/shop", TargetKeyId=key)
fails("NotFoundException", "create_alias", AliasName="alias/b", TargetKeyId="00000000-0000-0000-0000-000000000000")
assert kms.encrypt(KeyId="alias/shop", Plaintext=b"x")["KeyId"] == arn
assert kms.describe_key(KeyId=arn.rsplit(":", 1)[0] + ":alias/shop")["KeyMetadata"]["KeyId"] == key
fails("IncorrectKeyException", "decrypt", CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context, KeyId=other)
again = kms.re_encrypt(CiphertextBlob=sealed["CiphertextBlob"], SourceEncryptionContext=context, DestinationKeyId=other)
assert again["SourceKeyId"] == arn and kms.decrypt(CiphertextBlob=again["CiphertextBlob"])["Plaintext"] == b"hello"
kms.update_alias(AliasName="alias/shop", TargetKeyId=other)
assert [a["AliasName"] for a in kms.list_aliases(KeyId=other)["Aliases"]] == ["alias/shop"]
kms.delete_alias(AliasName="alias/shop")
fails("NotFoundException", "delete_alias", AliasName="alias/shop")
fails("NotFoundException", "encrypt", KeyId="alias/shop", Plaintext=b"x")

# Pages.
assert {page["KeyId"] for pages in kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 1}) for page in pages["Keys"]} == {key, other}
fails("InvalidMarkerException", "list_keys", Marker="x")

# States.
kms.disable_key(KeyId=key)
fails("DisabledException", "encrypt", KeyId=key, Plaintext=b"x")
fails("DisabledException", "decrypt", CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
kms.enable_key(KeyId=key)
fails("ValidationException", "schedule_key_deletion", KeyId=other, PendingWindowInDays=6)
gone = kms.schedule_key_deletion(KeyId=other, PendingWindowInDays=7)
assert gone["KeyState"] == "PendingDeletion"
fails("KMSInvalidStateException", "encrypt", KeyId=other, Plaintext=b"x")
fails("KMSInvalidStateException", "enable_key", KeyId=other)
kms.cancel_key_deletion(KeyId=other)
fails("KMSInvalidStateException", "cancel_key_deletion", KeyId=other)
assert kms.describe_key(KeyId=other)["KeyMetadata"]["KeyState"] == "Disabled"
kms.update_key_description(KeyId=key, Description="new")
assert kms.describe_key(KeyId=key)["KeyMetadata"]["Description"] == "new"

# Rotation.
assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=180)
status = kms.get_key_rotation_status(KeyId=key)
assert status["KeyRotationEnabled"] and status["RotationPeriodInDays"] == 180, status
kms.rotate_key_on_demand(KeyId=key)
assert kms.list_key_rotations(KeyId=key)["Rotations"][0]["RotationType"] == "ON_DEMAND"
assert kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)["Plaintext"] == b"hello"
kms.disable_key_rotation(KeyId=key)

# Message authentication codes.
mac_key = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
assert mac_key["MacAlgorithms"] == ["HMAC_SHA_256"], mac_key
mac = kms.generate_mac(KeyId=mac_key["KeyId"], Message=b"m", MacAlgorithm="HMAC_SHA_256")["Mac"]
assert kms.verify_mac(KeyId=mac_key["KeyId"], Message=b"m", MacAlgorithm="HMAC_SHA_256", Mac=mac)["MacValid"]
fails("KMSInvalidMacException", "verify_mac", KeyId=mac_key["KeyId"], Message=b"n", MacAlgorithm="HMAC_SHA_256", Mac=mac)
fails("InvalidKeyUsageException", "encrypt", KeyId=mac_key["KeyId"], Plaintext=b"x")
fails("InvalidKeyUsageException", "generate_mac", KeyId=key, Message=b"m", MacAlgorithm="HMAC_SHA_256")
fails("UnsupportedOperationException", "enable_key_rotation", KeyId=mac_key["KeyId"])
fails("ValidationException", "create_key", KeySpec="HMAC_256", KeyUsage="ENCRYPT_DECRYPT")
assert "not implemented" in str(fails("NotImplemented", "create_key", KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY"))

# Tags.
kms.tag_resource(KeyId=key, Tags=[{"TagKey": "c", "TagValue": "d"}])
kms.untag_resource(KeyId=key, TagKeys=["a"])
assert kms.list_resource_tags(KeyId=key)["Tags"] == [{"TagKey": "c", "TagValue": "d"}]
fails("TagException", "tag_resource", KeyId=key, Tags=[{"TagKey": "aws:x", "TagValue": ""}])

# Policies: what the key's own says, what it leaves to the account, and grants.
assert kms.list_key_policies(KeyId=key)["PolicyNames"] == ["default"]
default = json.loads(kms.get_key_policy(KeyId=key)["Policy"])
fails("MalformedPolicyDocumentException", "put_key_policy", KeyId=key, Policy="{}")
account = sts.get_caller_identity()["Account"]
trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}]}


def assume(name, policy):
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    if policy:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    session = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    return role, boto3.client(
        "kms",
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
        config=Config(retries={"max_attempts": 0}),
    )


everything = {"Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
may, able = assume("able", everything)
bare, unable = assume("unable", None)
able.encrypt(KeyId=key, Plaintext=b"x")
fails("AccessDeniedException", "encrypt", unable, KeyId=key, Plaintext=b"x")
grant = kms.create_grant(KeyId=key, GranteePrincipal=bare, Operations=["Encrypt"], Name="g", Constraints={"EncryptionContextSubset": context})
assert kms.create_grant(KeyId=key, GranteePrincipal=bare, Operations=["Encrypt"], Name="g", Constraints={"EncryptionContextSubset": context}) ["GrantId"] == grant["GrantId"]
unable.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={**context, "more": "1"})
fails("AccessDeniedException", "encrypt", unable, KeyId=key, Plaintext=b"x")
fails("AccessDeniedException", "decrypt", unable, CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
assert [g["GrantId"] for g in kms.list_grants(KeyId=key)["Grants"]] == [grant["GrantId"]]
kms.revoke_grant(KeyId=key, GrantId=grant["GrantId"])
fails("AccessDeniedException", "encrypt", unable, KeyId=key, Plaintext=b"x", EncryptionContext=context)
fails("NotFoundException", "revoke_grant", KeyId=key, GrantId=grant["GrantId"])
token = kms.create_grant(KeyId=key, GranteePrincipal=bare, Operations=["Decrypt"])["GrantToken"]
kms.retire_grant(GrantToken=token)
assert kms.list_grants(KeyId=key)["Grants"] == []
# Nothing is left to the account: policies of identities do not count any more.
own = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": bare}, "Action": "kms:*", "Resource": "*"}]}
kms.put_key_policy(KeyId=key, Policy=json.dumps(own))
unable.encrypt(KeyId=key, Plaintext=b"x")
fails("AccessDeniedException", "encrypt", able, KeyId=key, Plaintext=b"x")
kms.put_key_policy(KeyId=key, Policy=json.dumps(default))

for name in ("sign", "get_public_key"):
    arguments = {"Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"} if name == "sign" else {}
    assert "not implemented" in str(fails("NotImplemented", name, KeyId=key, **arguments))

# What is there outlives the program.
if "CUMULET_KEPT" in os.environ:
    with open(os.environ["CUMULET_KEPT"], "w") as file:
        json.dump({"blob": sealed["CiphertextBlob"].hex(), "context": context}, file)
print("keys: ok")
