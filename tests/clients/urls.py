"""Function URLs: signed by botocore where they ask for it, and open where they do not."""
import io
import json
import os
import urllib.error
import urllib.request
import zipfile
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

CODE = """
import json
def handler(event, context):
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}
"""


def zipped(text):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", text)
    return data.getvalue()


lam, iam, sts = (boto3.client(name) for name in ("lambda", "iam", "sts"))
port = urlsplit(os.environ["AWS_ENDPOINT_URL"]).port


def create(name, auth):
    lam.create_function(
        FunctionName=name, Runtime=os.environ["RUNTIME"], Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/test", Code={"ZipFile": zipped(CODE)},
    )
    return lam.create_function_url_config(FunctionName=name, AuthType=auth)["FunctionUrl"]


def ask(url, keys=None, path="x?q=1", tamper=False):
    """Status and body; the name is sent as the host, whatever it resolves to here."""
    whole = url + path
    request = AWSRequest("POST", whole, data=b"hello", headers={"content-type": "text/plain"})
    if keys:
        SigV4Auth(keys, "lambda", "us-east-1").add_auth(request)
    parts = urlsplit(whole)
    headers = dict(request.headers.items()) | {"host": parts.netloc}
    target = f"http://127.0.0.1:{port}{parts.path}?{parts.query}" + ("&more=1" if tamper else "")
    sent = urllib.request.Request(target, data=b"hello", headers=headers, method="POST")
    try:
        with urllib.request.urlopen(sent, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read()


owner = Credentials("test", "test")
signed = create("signed", "AWS_IAM")
status, event = ask(signed, owner)
assert status == 200, (status, event)
assert event["requestContext"]["authorizer"]["iam"]["accountId"] == "000000000000", event
assert event["rawQueryString"] == "q=1" and event["body"] == "hello", event
assert ask(signed)[0] == 403
assert ask(signed, Credentials("test", "wrong"))[0] == 403
assert ask(signed, Credentials("nobody", "test"))[0] == 403
assert ask(signed, owner, tamper=True)[0] == 403

# A role's session may only what its policies say.
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
role = iam.create_role(RoleName="caller", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
session = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
caller = Credentials(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
assert ask(signed, caller)[0] == 403
allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"], "Resource": "*"}]}
iam.put_role_policy(RoleName="caller", PolicyName="p", PolicyDocument=json.dumps(allow))
status, event = ask(signed, caller)
assert status == 200, (status, event)
assert event["requestContext"]["authorizer"]["iam"]["userArn"].endswith("assumed-role/caller/session"), event

# Without authorisation the function's own policy has to let everybody in.
public = create("public", "NONE")
assert ask(public)[0] == 403
for action in ("InvokeFunctionUrl", "InvokeFunction"):
    extra = {"FunctionUrlAuthType": "NONE"} if action == "InvokeFunctionUrl" else {"InvokedViaFunctionUrl": True}
    lam.add_permission(FunctionName="public", StatementId=action, Action=f"lambda:{action}", Principal="*", **extra)
status, event = ask(public)
assert status == 200 and "authorizer" not in event["requestContext"], (status, event)
print("ok")
