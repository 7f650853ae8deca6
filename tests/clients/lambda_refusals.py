"""What each operation of Lambda refuses, through botocore without its own checks: names, ARNs, qualifiers, revisions, conflicts,
limits by one over. Every code is held against the errors that the service's model declares for the operation."""
import base64
import io
import json
import os
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::000000000000:role/reader"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
LAYER = "arn:aws:lambda:us-east-1:000000000000:layer:"
client = boto3.client("lambda", config=Config(parameter_validation=False))
model = client.meta.service_model
methods = {model_name: method for method, model_name in client.meta.method_to_api_mapping.items()}
# What AWS answers for what the model's own constraints forbid is declared by no operation.
EVERYWHERE = {"ValidationException", "SerializationException", "NotImplemented"}
tried = {}


def zipped(text="def handler(event, context):\n    return event\n", names=("app.py",)):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, text)
    return out.getvalue()


faults = []


def check(operation, parameters, code, status=400, part=""):
    try:
        check_one(operation, parameters, code, status, part)
    except AssertionError as error:
        faults.append(str(error))


def check_one(operation, parameters, code, status, part):
    try:
        getattr(client, methods[operation])(**parameters)
    except ClientError as error:
        got = error.response
        told = got["Error"]["Code"], got["ResponseMetadata"]["HTTPStatusCode"]
        assert told == (code, status), (operation, parameters, got["Error"], told)
        assert part in got["Error"]["Message"], (operation, parameters, got["Error"])
        # A function that is not there is told of by all, though not all declare it.
        declared = {shape.name for shape in model.operation_model(operation).error_shapes} | EVERYWHERE
        assert code in declared or (operation, status) == ("DeleteAlias", 404), (operation, code, sorted(declared))
        tried.setdefault(operation, set()).add(code)
        return
    raise AssertionError((operation, parameters, "was taken"))


def create(name, **more):
    return client.create_function(
        FunctionName=name, Runtime=os.environ["RUNTIME"], Role=ROLE, Handler="app.handler", Code={"ZipFile": zipped()}, **more
    )


boto3.client("iam").create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}))
boto3.client("iam").put_role_policy(RoleName="reader", PolicyName="all", PolicyDocument=json.dumps({
    "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}],
}))
create("there", Publish=True)
client.create_alias(FunctionName="there", Name="live", FunctionVersion="1")
layer = client.publish_layer_version(LayerName="kept", Content={"ZipFile": zipped()})["Version"]
queue = boto3.client("sqs").create_queue(QueueName="there")["QueueUrl"]
source = "arn:aws:sqs:us-east-1:000000000000:there"
mapping = client.create_event_source_mapping(FunctionName="there", EventSourceArn=source)["UUID"]

# What each operation needs beside the function's name.
REST = {
    "AddPermission": {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "sns.amazonaws.com"},
    "CreateAlias": {"Name": "new", "FunctionVersion": "1"},
    "CreateEventSourceMapping": {"EventSourceArn": source},
    "CreateFunctionUrlConfig": {"AuthType": "NONE"},
    "DeleteAlias": {"Name": "live"},
    "DeleteProvisionedConcurrencyConfig": {"Qualifier": "1"},
    "GetAlias": {"Name": "live"},
    "GetFunctionScalingConfig": {"Qualifier": "1"},
    "GetProvisionedConcurrencyConfig": {"Qualifier": "1"},
    "InvokeAsync": {"InvokeArgs": b"{}"},
    "PutFunctionConcurrency": {"ReservedConcurrentExecutions": 1},
    "PutFunctionRecursionConfig": {"RecursiveLoop": "Allow"},
    "PutFunctionScalingConfig": {"Qualifier": "1", "FunctionScalingConfig": {"MinExecutionEnvironments": 1}},
    "PutProvisionedConcurrencyConfig": {"Qualifier": "1", "ProvisionedConcurrentExecutions": 1},
    "PutRuntimeManagementConfig": {"UpdateRuntimeOn": "Auto"},
    "RemovePermission": {"StatementId": "s"},
    "UpdateAlias": {"Name": "live"},
    "UpdateFunctionCode": {"ZipFile": zipped()},
}


def is_built(operation):
    return operation not in ABSENT


# What is not built answers so, whatever it is asked for.
ABSENT = {name for name in model.operation_names if any(part in name for part in ("Durable", "CapacityProvider", "CodeSigning"))}
ABSENT -= {"GetFunctionCodeSigningConfig"}

# Every operation on a function: names that are none, functions that are not there, qualifiers that are none.
on_functions = [
    name for name in model.operation_names
    if is_built(name) and "FunctionName" in model.operation_model(name).input_shape.members
    and not name.startswith(("List", "CreateFunction", "GetDurable")) and "Mapping" not in name and "Durable" not in name
    and "CodeSigning" not in name
]
on_functions += ["CreateFunctionUrlConfig", "ListAliases", "ListVersionsByFunction", "ListFunctionUrlConfigs",
                 "ListFunctionEventInvokeConfigs", "ListProvisionedConcurrencyConfigs", "CreateEventSourceMapping"]
for operation in sorted(set(on_functions)):
    rest = REST.get(operation, {})
    pattern = "failed to satisfy constraint: Member must satisfy regular expression pattern"
    for wrong in ("a b", "a!", "arn:aws:s3:::bucket", f"{ARN}x:y:z"):
        check(operation, {"FunctionName": wrong, **rest}, "ValidationException", 400, "at 'functionName' failed to satisfy")
    # The model says 140 characters, and 256 where it takes streams.
    check(operation, {"FunctionName": "n" * 300, **rest}, "ValidationException", 400, "functionName")
    for gone in ("gone", f"{ARN}gone", "000000000000:function:gone"):
        code, part = "ResourceNotFoundException", "unction not found: " + ARN + "gone"
        if operation == "CreateEventSourceMapping":
            check(operation, {"FunctionName": gone, **rest}, code, 404, part)
        elif "ListFunction" not in operation or operation == "ListFunctionUrlConfigs":
            check(operation, {"FunctionName": gone, **rest}, code, 404)
    members = model.operation_model(operation).input_shape.members
    if "Qualifier" in members:
        check(operation, {"FunctionName": "there", **rest, "Qualifier": "no such!"}, "ValidationException", 400, "ualifier")
        if operation not in ("PutFunctionEventInvokeConfig",):
            unknown = "7" if "Url" not in operation else "other"
            check(operation, {"FunctionName": "there", **rest, "Qualifier": unknown}, "ResourceNotFoundException", 404)
    if "RevisionId" in members:
        late = {"FunctionName": "there", **rest, "RevisionId": "another"}
        if operation != "RemovePermission":
            check(operation, late, "PreconditionFailedException", 412, "Revision Id")

# Operations on nothing that has a name of a function.
NO_ACCOUNT = "arn:aws:lambda:us-east-1:000000000000:function:gone"
TABLE = [
    ("CreateFunction", {"FunctionName": "there"}, "ResourceConflictException", 409, "Function already exist: there"),
    ("CreateFunction", {"FunctionName": "n" * 65}, "ValidationException", 400, "functionName"),
    ("CreateFunction", {"FunctionName": "f", "MemorySize": 127}, "ValidationException", 400, "greater than or equal to 128"),
    ("CreateFunction", {"FunctionName": "f", "MemorySize": 10241}, "ValidationException", 400, "less than or equal to 10240"),
    ("CreateFunction", {"FunctionName": "f", "Timeout": 0}, "ValidationException", 400, "greater than or equal to 1"),
    ("CreateFunction", {"FunctionName": "f", "Timeout": 901}, "ValidationException", 400, "less than or equal to 900"),
    ("CreateFunction", {"FunctionName": "f", "EphemeralStorage": {"Size": 511}}, "ValidationException", 400, "512"),
    ("CreateFunction", {"FunctionName": "f", "EphemeralStorage": {"Size": 10241}}, "ValidationException", 400, "10240"),
    ("CreateFunction", {"FunctionName": "f", "Description": "d" * 257}, "ValidationException", 400, "256"),
    ("CreateFunction", {"FunctionName": "f", "Handler": "h" * 129}, "ValidationException", 400, "128"),
    ("CreateFunction", {"FunctionName": "f", "Role": "role"}, "ValidationException", 400, "at 'role'"),
    ("CreateFunction", {"FunctionName": "f", "Runtime": "cobol1"}, "InvalidParameterValueException", 400, "at 'runtime'"),
    ("CreateFunction", {"FunctionName": "f", "Layers": [f"{LAYER}kept:{layer}"] * 6}, "InvalidParameterValueException", 400, "5"),
    ("CreateFunction", {"FunctionName": "f", "Environment": {"Variables": {"A_B": "x" * 4096}}}, "InvalidParameterValueException", 400, "4"),
    ("CreateFunction", {"FunctionName": "f", "Environment": {"Variables": {"_HANDLER": "x"}}}, "InvalidParameterValueException", 400, "reserved"),
    ("CreateFunction", {"FunctionName": "f", "DeadLetterConfig": {"TargetArn": "queue"}}, "ValidationException", 400, "deadLetterConfig"),
    ("CreateFunction", {"FunctionName": "f", "TracingConfig": {"Mode": "On"}}, "ValidationException", 400, "enum value set"),
    ("CreateFunction", {"FunctionName": "f", "LoggingConfig": {"SystemLogLevel": "INFO"}}, "InvalidParameterValueException", 400, "JSON"),
    ("CreateFunction", {"FunctionName": "f", "Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException", 400, "zip"),
    ("CreateFunction", {"FunctionName": "f", "Code": {"ZipFile": zipped("x", ["../../etc/passwd"])}}, "InvalidParameterValueException", 400, "Could not unzip uploaded file"),
    ("CreateFunction", {"FunctionName": "f", "Code": {"ZipFile": zipped(bytes(100_000_000), "abc")}}, "InvalidParameterValueException", 400, "Unzipped size must be smaller than 262144000 bytes"),
    ("CreateFunction", {"FunctionName": "f", "Tags": {f"k{n}": "" for n in range(51)}}, "InvalidParameterValueException", 400, "50"),
    ("UpdateFunctionConfiguration", {"FunctionName": "there", "MemorySize": 10241}, "ValidationException", 400, "10240"),
    ("UpdateFunctionCode", {"FunctionName": "there"}, "InvalidParameterValueException", 400, "source for function code"),
    ("DeleteFunction", {"FunctionName": "there", "Qualifier": "1"}, "ResourceConflictException", 409, "referenced by the following aliases"),
    ("CreateAlias", {"FunctionName": "there", "Name": "live", "FunctionVersion": "1"}, "ResourceConflictException", 409, "Alias already exists"),
    ("CreateAlias", {"FunctionName": "there", "Name": "1", "FunctionVersion": "1"}, "ValidationException", 400, "at 'name'"),
    ("CreateAlias", {"FunctionName": "there", "Name": "a" * 129, "FunctionVersion": "1"}, "ValidationException", 400, "128"),
    ("CreateAlias", {"FunctionName": "there", "Name": "x", "FunctionVersion": "9"}, "ResourceNotFoundException", 404, ""),
    ("GetAlias", {"FunctionName": "there", "Name": "none"}, "ResourceNotFoundException", 404, "Cannot find alias arn"),
    ("UpdateAlias", {"FunctionName": "there", "Name": "live", "RoutingConfig": {"AdditionalVersionWeights": {"1": 1.1}}}, "InvalidParameterValueException", 400, "between 0.0 and 1.0"),
    ("AddPermission", {"FunctionName": "there", "StatementId": "s!", "Action": "lambda:InvokeFunction", "Principal": "p"}, "ValidationException", 400, "statementId"),
    ("AddPermission", {"FunctionName": "there", "StatementId": "s", "Action": "s3:GetObject", "Principal": "p"}, "ValidationException", 400, "action"),
    ("RemovePermission", {"FunctionName": "there", "StatementId": "none"}, "ResourceNotFoundException", 404, ""),
    ("GetPolicy", {"FunctionName": "there"}, "ResourceNotFoundException", 404, "The resource you requested does not exist."),
    ("GetFunctionUrlConfig", {"FunctionName": "there"}, "ResourceNotFoundException", 404, ""),
    ("CreateFunctionUrlConfig", {"FunctionName": "there", "AuthType": "SOME"}, "ValidationException", 400, "authType"),
    ("CreateFunctionUrlConfig", {"FunctionName": "there", "AuthType": "NONE", "Cors": {"MaxAge": 86401}}, "ValidationException", 400, "86400"),
    ("PutFunctionConcurrency", {"FunctionName": "there", "ReservedConcurrentExecutions": -1}, "ValidationException", 400, ""),
    ("PutFunctionConcurrency", {"FunctionName": "there", "ReservedConcurrentExecutions": 901}, "InvalidParameterValueException", 400, "100"),
    ("PutProvisionedConcurrencyConfig", {"FunctionName": "there", "Qualifier": "1", "ProvisionedConcurrentExecutions": 0}, "ValidationException", 400, ""),
    ("PutProvisionedConcurrencyConfig", {"FunctionName": "there", "Qualifier": "$LATEST", "ProvisionedConcurrentExecutions": 1}, "InvalidParameterValueException", 400, ""),
    ("GetProvisionedConcurrencyConfig", {"FunctionName": "there", "Qualifier": "1"}, "ProvisionedConcurrencyConfigNotFoundException", 404, ""),
    ("PutFunctionEventInvokeConfig", {"FunctionName": "there", "MaximumRetryAttempts": 3}, "ValidationException", 400, "2"),
    ("PutFunctionEventInvokeConfig", {"FunctionName": "there", "MaximumEventAgeInSeconds": 59}, "ValidationException", 400, "60"),
    ("PutFunctionEventInvokeConfig", {"FunctionName": "there", "MaximumEventAgeInSeconds": 21601}, "ValidationException", 400, "21600"),
    ("GetFunctionEventInvokeConfig", {"FunctionName": "there"}, "ResourceNotFoundException", 404, ""),
    ("PutFunctionRecursionConfig", {"FunctionName": "there", "RecursiveLoop": "Yes"}, "ValidationException", 400, "recursiveLoop"),
    ("PutRuntimeManagementConfig", {"FunctionName": "there", "UpdateRuntimeOn": "Never"}, "ValidationException", 400, "updateRuntimeOn"),
    ("PutRuntimeManagementConfig", {"FunctionName": "there", "UpdateRuntimeOn": "Manual"}, "InvalidParameterValueException", 400, ""),
    ("PutFunctionScalingConfig", {"FunctionName": "there", "Qualifier": "1", "FunctionScalingConfig": {"MaxExecutionEnvironments": 15001}}, "ValidationException", 400, "15000"),
    ("PublishLayerVersion", {"LayerName": "a b", "Content": {"ZipFile": zipped()}}, "ValidationException", 400, "layerName"),
    ("PublishLayerVersion", {"LayerName": "l", "Content": {}}, "InvalidParameterValueException", 400, ""),
    ("PublishLayerVersion", {"LayerName": "l", "Content": {"ZipFile": zipped()}, "Description": "d" * 257}, "ValidationException", 400, "256"),
    ("GetLayerVersion", {"LayerName": "kept", "VersionNumber": 99}, "ResourceNotFoundException", 404, "does not exist"),
    ("GetLayerVersionByArn", {"Arn": "arn:aws:lambda:nowhere"}, "ValidationException", 400, "arn"),
    ("GetLayerVersionPolicy", {"LayerName": "kept", "VersionNumber": layer}, "ResourceNotFoundException", 404, ""),
    ("RemoveLayerVersionPermission", {"LayerName": "kept", "VersionNumber": layer, "StatementId": "s"}, "ResourceNotFoundException", 404, ""),
    ("AddLayerVersionPermission", {"LayerName": "kept", "VersionNumber": layer, "StatementId": "s", "Action": "lambda:All", "Principal": "*"}, "ValidationException", 400, "action"),
    ("ListLayers", {"CompatibleArchitecture": "mips"}, "ValidationException", 400, "compatibleArchitecture"),
    ("ListFunctions", {"MaxItems": 10001}, "ValidationException", 400, "10000"),
    ("ListFunctions", {"Marker": "made up"}, "InvalidParameterValueException", 400, "Marker"),
    ("TagResource", {"Resource": NO_ACCOUNT, "Tags": {"a": "b"}}, "ResourceNotFoundException", 404, ""),
    ("TagResource", {"Resource": f"{ARN}there", "Tags": {"aws:x": "y"}}, "InvalidParameterValueException", 400, ""),
    ("UntagResource", {"Resource": NO_ACCOUNT, "TagKeys": ["a"]}, "ResourceNotFoundException", 404, ""),
    ("ListTags", {"Resource": NO_ACCOUNT}, "ResourceNotFoundException", 404, ""),
    ("ListTags", {"Resource": "there"}, "ValidationException", 400, "resource"),
    ("CreateEventSourceMapping", {"FunctionName": "there", "EventSourceArn": source}, "ResourceConflictException", 409, ""),
    ("CreateEventSourceMapping", {"FunctionName": "there", "EventSourceArn": source, "BatchSize": 0}, "ValidationException", 400, "batchSize"),
    ("CreateEventSourceMapping", {"FunctionName": "there", "EventSourceArn": source, "BatchSize": 10001}, "ValidationException", 400, "batchSize"),
    ("CreateEventSourceMapping", {"FunctionName": "there", "EventSourceArn": "queue"}, "ValidationException", 400, "eventSourceArn"),
    ("GetEventSourceMapping", {"UUID": "none"}, "ResourceNotFoundException", 404, "The resource you requested does not exist."),
    ("UpdateEventSourceMapping", {"UUID": "none"}, "ResourceNotFoundException", 404, ""),
    ("UpdateEventSourceMapping", {"UUID": mapping, "BatchSize": 10001}, "ValidationException", 400, "batchSize"),
    ("DeleteEventSourceMapping", {"UUID": "none"}, "ResourceNotFoundException", 404, ""),
    ("ListEventSourceMappings", {"MaxItems": 10001}, "ValidationException", 400, "10000"),
    ("Invoke", {"FunctionName": "there", "InvocationType": "Later"}, "ValidationException", 400, "invocationType"),
    ("Invoke", {"FunctionName": "there", "Payload": b"{no"}, "InvalidRequestContentException", 400, "Could not parse"),
    ("Invoke", {"FunctionName": "there", "Payload": b'"%s"' % (b"x" * (6 * 1024 * 1024 - 1))}, "RequestTooLargeException", 413, "too large"),
    ("Invoke", {"FunctionName": "there", "InvocationType": "Event", "Payload": b'"%s"' % (b"x" * (1024 * 1024 - 1))}, "RequestTooLargeException", 413, "too large"),
    ("Invoke", {"FunctionName": "there", "LogType": "Head"}, "ValidationException", 400, "logType"),
    ("Invoke", {"FunctionName": "there", "TenantId": "t"}, "InvalidParameterValueException", 400, "tenan"),
    ("InvokeWithResponseStream", {"FunctionName": "there", "Payload": b"{no"}, "InvalidRequestContentException", 400, "Could not parse"),
]
BASE = {"Runtime": os.environ["RUNTIME"], "Role": ROLE, "Handler": "app.handler", "Code": {"ZipFile": zipped()}}
for operation, parameters, code, status, part in TABLE:
    check(operation, {**BASE, **parameters} if operation == "CreateFunction" else parameters, code, status, part)

# What the table lacks of the errors that the model declares.
INVALID, CONFLICT, MISSING, LATE = (
    "InvalidParameterValueException", "ResourceConflictException", "ResourceNotFoundException", "PreconditionFailedException"
)
big = b'"%s"' % (b"x" * (6 * 1024 * 1024 - 1))
for operation in on_functions:
    rest = REST.get(operation, {})
    if "Qualifier" in model.operation_model(operation).input_shape.members and operation not in ("DeleteFunctionEventInvokeConfig", "DeleteFunctionUrlConfig"):
        other = "2" if "Url" not in operation else "other"
        if operation not in ("AddPermission", "RemovePermission"):
            check(operation, {"FunctionName": "there:1", **rest, "Qualifier": other}, INVALID, 400, "derived qualifier from the function name")
for operation in ("ListAliases", "ListFunctionEventInvokeConfigs", "ListFunctionUrlConfigs", "ListProvisionedConcurrencyConfigs", "ListVersionsByFunction"):
    check(operation, {"FunctionName": "there", "Marker": "made up"}, INVALID, 400, "Marker")
for operation, rest in (("ListLayers", {}), ("ListLayerVersions", {"LayerName": "kept"}), ("ListEventSourceMappings", {})):
    check(operation, {"Marker": "made up", **rest}, INVALID, 400, "Marker")
client.add_permission(FunctionName="there", StatementId="once", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com")
once = {"FunctionName": "there", "StatementId": "once", "Action": "lambda:InvokeFunction", "Principal": "sns.amazonaws.com"}
check("AddPermission", once, CONFLICT, 409, "The statement id (once) provided already exists")
check("RemovePermission", {"FunctionName": "there", "StatementId": "once", "RevisionId": "another"}, LATE, 412)
client.create_function_url_config(FunctionName="there", AuthType="NONE")
check("CreateFunctionUrlConfig", {"FunctionName": "there", "AuthType": "NONE"}, CONFLICT, 409, "exists for this Lambda function")
on_layer = {"LayerName": "kept", "VersionNumber": layer, "StatementId": "once"}
grant = {**on_layer, "Action": "lambda:GetLayerVersion", "Principal": "*"}
client.add_layer_version_permission(**grant)
check("AddLayerVersionPermission", grant, CONFLICT, 409, "already exists")
check("AddLayerVersionPermission", {**grant, "StatementId": "late", "RevisionId": "another"}, LATE, 412)
check("AddLayerVersionPermission", {**grant, "VersionNumber": 99}, MISSING, 404)
check("RemoveLayerVersionPermission", {**on_layer, "RevisionId": "another"}, LATE, 412)
check("GetLayerVersionByArn", {"Arn": f"{LAYER}kept:99"}, MISSING, 404)
for operation, parameters in (("AddPermission", once), ("AddLayerVersionPermission", grant)):
    try:
        for n in range(300):
            getattr(client, methods[operation])(**{**parameters, "StatementId": f"{n}-{'s' * 90}"})
    except client.exceptions.PolicyLengthExceededException:
        check(operation, {**parameters, "StatementId": "s" * 100}, "PolicyLengthExceededException", 400, "bigger than the limit (20480)")
check("InvokeAsync", {"FunctionName": "there", "InvokeArgs": b"{no"}, "InvalidRequestContentException", 400, "Could not parse")
check("InvokeWithResponseStream", {"FunctionName": "there", "Payload": big}, "RequestTooLargeException", 413, "too large")
check("InvokeWithResponseStream", {"FunctionName": "there", "TenantId": "t"}, INVALID, 400, "tenan")
check("ListFunctionEventInvokeConfigs", {"FunctionName": "gone"}, MISSING, 404, "unction not found")
create("never-runs")
client.put_function_concurrency(FunctionName="never-runs", ReservedConcurrentExecutions=0)
for operation in ("Invoke", "InvokeWithResponseStream"):
    check(operation, {"FunctionName": "never-runs"}, "TooManyRequestsException", 429, "Rate Exceeded")
    check(operation, {"FunctionName": "never-runs", "Qualifier": "$LATEST.PUBLISHED"}, "NoPublishedVersionException", 400, "published")
check("TagResource", {"Resource": f"{ARN}there", "Tags": {f"k{n}": "" for n in range(51)}}, INVALID, 400, "50")
check("PutFunctionEventInvokeConfig", {"FunctionName": "there", "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:dynamodb:us-east-1:000000000000:table/t"}}}, INVALID, 400, "")
check("UpdateFunctionEventInvokeConfig", {"FunctionName": "there", "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:dynamodb:us-east-1:000000000000:table/t"}}}, INVALID, 400, "")
check("CreateAlias", {"FunctionName": "there", "Name": "x", "FunctionVersion": "$LATEST", "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}}, INVALID, 400, "$LATEST")
check("CreateEventSourceMapping", {"FunctionName": "there", "EventSourceArn": f"{source}-not"}, INVALID, 400, "")
check("UpdateEventSourceMapping", {"UUID": mapping, "FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, INVALID, 400, "filter")
check("UpdateFunctionConfiguration", {"FunctionName": "there", "Layers": [f"{LAYER}kept:99"]}, INVALID, 400, "")
check("PutFunctionScalingConfig", {"FunctionName": "there", "Qualifier": "1", "FunctionScalingConfig": {"MinExecutionEnvironments": 3, "MaxExecutionEnvironments": 2}}, INVALID, 400, "")

at_once = "changes are done at once, so that none is found under way"
by_constraint = "what it could be is a ValidationException"
NEVER = {
    "ServiceException": "only a fault of the platform",
    "TooManyRequestsException": "calls that run nothing are not throttled",
    "CodeStorageExceededException": "the disk is the bound",
    "ResourceInUseException": at_once,
    CONFLICT: at_once,
    INVALID: by_constraint,
    "ResourceNotReadyException": "a function is ready when it is there",
    "UnsupportedMediaTypeException": "events are taken whatever they are called",
    "SerializedRequestEntityTooLargeException": "what is too large is so before it is serialized",
    "InvalidZipFileException": "zips are looked through when they come",
    "InvalidRuntimeException": "only where an interpreter is taken away",
    "RecursiveInvocationException": "tests/clients/loops.py",
    "NoPublishedVersionException": "said of $LATEST.PUBLISHED",
    **{f"{of}Exception": "code signing is absent" for of in ("CodeSigningConfigNotFound", "CodeVerificationFailed", "InvalidCodeSignature")},
    "FunctionVersionsPerCapacityProviderLimitExceededException": "capacity providers are absent",
    "DurableExecutionAlreadyStartedException": "durable functions are absent",
    ("CreateFunction", MISSING): "a layer that is not there is a wrong parameter",
    ("PublishLayerVersion", MISSING): "an object that is not there is a wrong parameter",
    ("GetFunctionCodeSigningConfig", MISSING): "said of functions above",
    ("ListEventSourceMappings", MISSING): "a function that is not there has none",
    ("ListLayerVersions", MISSING): "a layer that is not there has none",
}
NO_PART = ("EC2", "ENI", "Subnet", "InvalidSubnet", "InvalidSecurityGroup", "EFS", "S3Files", "KMS", "SnapStart")
built = [name for name in model.operation_names if is_built(name)]
for operation in built:
    for error in {shape.name for shape in model.operation_model(operation).error_shapes} - tried.get(operation, set()):
        if not (error in NEVER or (operation, error) in NEVER or error.startswith(NO_PART)):
            faults.append(f"{operation}: {error} has no case")
assert not faults, "\n".join(faults)
silent = set(built) - set(tried) - {"GetAccountSettings", "GetFunctionCodeSigningConfig", "ListLayerVersions", "DeleteLayerVersion",
                                    "ListEventSourceMappings", "ListFunctionsByCodeSigningConfig"}
assert not silent, f"nothing is refused by {sorted(silent)}"
print(json.dumps({"operations": len(built), "refusals": sum(len(codes) for codes in tried.values())}))
