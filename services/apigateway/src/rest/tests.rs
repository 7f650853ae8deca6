//! REST APIs from their making to their answers, over the memory store and an invoker that is told what to say.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use cumulet_wire::data_plane::DataPlane;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::Service;
use http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::MODEL;
use crate::tests::{ARN, Fixture, backend, outcome, request};

fn uri() -> String {
    format!("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{ARN}/invocations")
}

async fn attempt(fixture: &Fixture, operation: &str, input: Value, payload: &Value) -> Result<Value, ApiError> {
    let payload = if payload.is_null() { Bytes::new() } else { payload.to_string().into() };
    let call = fixture.call_of(&MODEL, "000000000000", operation, input, payload);
    fixture.gateway.rest_apis().call(call).await.map(|answer| answer.output)
}

pub(crate) async fn call(fixture: &Fixture, operation: &str, input: Value) -> Value {
    attempt(fixture, operation, input, &Value::Null).await.unwrap()
}

pub(crate) async fn fails(fixture: &Fixture, operation: &str, input: Value) -> (u16, String) {
    let error = attempt(fixture, operation, input, &Value::Null).await.unwrap_err();
    (error.status, error.code)
}

async fn ask(
    fixture: &Fixture,
    id: &str,
    method: &str,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Response<Bytes> {
    let mut asked = request(&format!("{id}.execute-api.us-east-1.localhost:4566"), method, path);
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    asked.headers = map;
    fixture.gateway.serve(asked).await
}

fn told(response: &Response<Bytes>) -> (u16, String) {
    (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
}

/// An API with `GET /pets/{id}` to the function, deployed as `dev`; its id, its resource's, and more members of the method.
pub(crate) async fn pets(fixture: &Fixture, more: Value) -> (String, String) {
    let api = call(fixture, "CreateRestApi", json!({"name": "pets"})).await;
    let (id, root) = (api["id"].as_str().unwrap().to_owned(), api["rootResourceId"].clone());
    let pets = call(fixture, "CreateResource", json!({"restapi_id": id, "parent_id": root, "pathPart": "pets"})).await;
    let one =
        call(fixture, "CreateResource", json!({"restapi_id": id, "parent_id": pets["id"], "pathPart": "{id}"})).await;
    assert_eq!(one["path"], "/pets/{id}");
    let mut method =
        json!({"restapi_id": id, "resource_id": one["id"], "http_method": "GET", "authorizationType": "NONE"});
    method.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    call(fixture, "PutMethod", method).await;
    let integration = json!({"restapi_id": id, "resource_id": one["id"], "http_method": "GET", "type": "AWS_PROXY", "httpMethod": "POST", "uri": uri()});
    call(fixture, "PutIntegration", integration).await;
    call(fixture, "CreateDeployment", json!({"restapi_id": id, "stageName": "dev", "variables": {"v": "1"}})).await;
    (id, one["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_method_is_served_as_it_was_deployed() {
    let fixture = Fixture::new();
    let (id, resource) = pets(&fixture, json!({})).await;
    let answer = ask(&fixture, &id, "GET", "/dev/pets/a%20b", &[("content-type", "application/json")]).await;
    assert_eq!(told(&answer), (200, "hello".into()));
    assert_eq!(answer.headers()["content-type"], "application/json");
    let (access, event) = fixture.world.events.lock().unwrap().pop().unwrap();
    assert!(format!("{access:?}").contains(&format!("execute-api:us-east-1:000000000000:{id}/dev/GET/pets/{{id}}")));
    assert_eq!(event["resource"], "/pets/{id}");
    assert_eq!(event["path"], "/pets/a%20b");
    assert_eq!(event["pathParameters"], json!({"id": "a b"}));
    assert_eq!(event["stageVariables"], json!({"v": "1"}));
    let context = &event["requestContext"];
    assert_eq!((&context["stage"], &context["path"]), (&json!("dev"), &json!("/dev/pets/a%20b")));
    assert_eq!((&context["resourceId"], &context["apiId"]), (&json!(resource), &json!(id)));
    assert!(event.get("version").is_none() && context.get("authorizer").is_none());
    // What is there no more is served until it is deployed, and what is new is not.
    call(&fixture, "DeleteMethod", json!({"restapi_id": id, "resource_id": resource, "http_method": "GET"})).await;
    assert_eq!(told(&ask(&fixture, &id, "GET", "/dev/pets/1", &[]).await).0, 200);
    for (method, path, message) in [
        ("POST", "/dev/pets/1", "Missing Authentication Token"),
        ("GET", "/dev/pets", "Missing Authentication Token"),
        ("GET", "/other/pets/1", "Forbidden"),
        ("GET", "/", "Forbidden"),
    ] {
        let answer = told(&ask(&fixture, &id, method, path, &[]).await);
        assert_eq!(answer, (403, json!({ "message": message }).to_string()), "{method} {path}");
    }
    call(&fixture, "DeleteRestApi", json!({"restapi_id": id})).await;
    assert_eq!(told(&ask(&fixture, &id, "GET", "/dev/pets/1", &[]).await).0, 404);
}

#[tokio::test]
async fn what_a_function_does_wrong() {
    let fixture = Fixture::new();
    let (id, _) = pets(&fixture, json!({})).await;
    for answer in [outcome(&json!({"errorMessage": "x"}), Some("Unhandled")), outcome(&json!("text"), None)] {
        *fixture.world.answer.lock().unwrap() = Some(Ok(answer));
        let answer = ask(&fixture, &id, "GET", "/dev/pets/1", &[]).await;
        assert_eq!(told(&answer), (502, json!({"message": "Internal server error"}).to_string()));
        assert_eq!(answer.headers()["x-amzn-errortype"], "InternalServerErrorException");
    }
}

#[tokio::test]
async fn authorizers_are_asked_once_and_kept() {
    let fixture = Fixture::new();
    let api = call(&fixture, "CreateRestApi", json!({"name": "a"})).await;
    let (id, root) = (api["id"].as_str().unwrap().to_owned(), api["rootResourceId"].clone());
    let authorizer = call(&fixture, "CreateAuthorizer", json!({"restapi_id": id, "name": "t", "type": "TOKEN", "authorizerUri": uri(), "identitySource": "method.request.header.Auth"})).await;
    let method = json!({"restapi_id": id, "resource_id": root, "http_method": "ANY", "authorizationType": "CUSTOM", "authorizerId": authorizer["id"]});
    call(&fixture, "PutMethod", method).await;
    let integration = json!({"restapi_id": id, "resource_id": root, "http_method": "ANY", "type": "AWS_PROXY", "httpMethod": "POST", "uri": uri()});
    call(&fixture, "PutIntegration", integration).await;
    call(&fixture, "CreateDeployment", json!({"restapi_id": id, "stageName": "s"})).await;
    assert_eq!(told(&ask(&fixture, &id, "GET", "/s", &[]).await).0, 401);
    let statement =
        |effect: &str| json!({"Statement": [{"Effect": effect, "Action": "execute-api:Invoke", "Resource": "*"}]});
    // The same answer does for the authorizer and the function: to the latter's it is only a reply.
    let says =
        |policy: Value| json!({"principalId": "me", "policyDocument": policy, "context": {"n": 1}, "statusCode": 204});
    *fixture.world.answer.lock().unwrap() = Some(Ok(outcome(&says(statement("Allow")), None)));
    for _ in 0..2 {
        assert_eq!(told(&ask(&fixture, &id, "GET", "/s", &[("auth", "one")]).await).0, 204);
    }
    let events: Vec<Value> = fixture.world.events.lock().unwrap().drain(..).map(|(_, event)| event).collect();
    assert_eq!(events.len(), 3, "asked once, run twice");
    assert_eq!(events[0]["authorizationToken"], "one");
    assert_eq!(events[0]["methodArn"], format!("arn:aws:execute-api:us-east-1:000000000000:{id}/s/GET/"));
    assert_eq!(events[1]["requestContext"]["authorizer"], json!({"n": "1", "principalId": "me"}));
    *fixture.world.answer.lock().unwrap() = Some(Ok(outcome(&says(statement("Deny")), None)));
    assert_eq!(told(&ask(&fixture, &id, "GET", "/s", &[("auth", "two")]).await).0, 403);
    let error = outcome(&json!({"errorMessage": "Unauthorized"}), Some("Unhandled"));
    *fixture.world.answer.lock().unwrap() = Some(Ok(error));
    assert_eq!(told(&ask(&fixture, &id, "GET", "/s", &[("auth", "three")]).await).0, 401);
    *fixture.world.answer.lock().unwrap() = Some(Ok(outcome(&json!({}), None)));
    assert_eq!(told(&ask(&fixture, &id, "GET", "/s", &[("auth", "four")]).await).0, 500);
}

#[tokio::test]
async fn signatures_are_asked_for() {
    let fixture = Fixture::new();
    let (id, _) = pets(&fixture, json!({"authorizationType": "AWS_IAM"})).await;
    let missing = json!({"message": "Missing Authentication Token"}).to_string();
    assert_eq!(told(&ask(&fixture, &id, "GET", "/dev/pets/1", &[]).await), (403, missing));
    assert_eq!(told(&ask(&fixture, &id, "GET", "/dev/pets/1", &[("authorization", "x")]).await).0, 200);
    let event = fixture.world.events.lock().unwrap().pop().unwrap().1;
    assert_eq!(event["requestContext"]["identity"]["accountId"], "000000000000");
}

#[tokio::test]
async fn keys_are_let_in_by_usage_plans() {
    let fixture = Fixture::new();
    let (id, _) = pets(&fixture, json!({"apiKeyRequired": true})).await;
    let value = "a-key-of-at-least-twenty-letters";
    let key = call(&fixture, "CreateApiKey", json!({"name": "k", "value": value, "enabled": true})).await;
    let path = "/dev/pets/1";
    assert_eq!(told(&ask(&fixture, &id, "GET", path, &[]).await).0, 403);
    assert_eq!(told(&ask(&fixture, &id, "GET", path, &[("x-api-key", value)]).await).0, 403, "in no plan");
    let stages = json!([{"apiId": id, "stage": "dev"}]);
    let plan = call(
        &fixture,
        "CreateUsagePlan",
        json!({"name": "p", "apiStages": stages, "throttle": {"rateLimit": 0.001, "burstLimit": 1}}),
    )
    .await;
    call(&fixture, "CreateUsagePlanKey", json!({"usageplanId": plan["id"], "keyId": key["id"], "keyType": "API_KEY"}))
        .await;
    assert_eq!(told(&ask(&fixture, &id, "GET", path, &[("x-api-key", value)]).await).0, 200);
    let event = fixture.world.events.lock().unwrap().pop().unwrap().1;
    assert_eq!(event["requestContext"]["identity"]["apiKeyId"], key["id"]);
    assert_eq!(told(&ask(&fixture, &id, "GET", path, &[("x-api-key", value)]).await).0, 429);
    let made_up = call(&fixture, "CreateApiKey", json!({"name": "m", "value": "", "enabled": true})).await;
    assert!(made_up["value"].as_str().unwrap().len() >= 20, "{made_up}");
    call(&fixture, "DeleteApiKey", json!({"api_Key": made_up["id"]})).await;
    let off = json!([{"op": "replace", "path": "/enabled", "value": "false"}]);
    call(&fixture, "UpdateApiKey", json!({"api_Key": key["id"], "patchOperations": off})).await;
    assert_eq!(told(&ask(&fixture, &id, "GET", path, &[("x-api-key", value)]).await).0, 403);
    let (status, _) = fails(&fixture, "DeleteUsagePlan", json!({"usageplanId": plan["id"]})).await;
    assert_eq!(status, 400, "it has stages");
    let gone = json!([{"op": "remove", "path": "/apiStages", "value": format!("{id}:dev")}]);
    let plan_now = call(&fixture, "UpdateUsagePlan", json!({"usageplanId": plan["id"], "patchOperations": gone})).await;
    assert_eq!(plan_now["apiStages"], json!([]));
    call(&fixture, "DeleteUsagePlan", json!({"usageplanId": plan["id"]})).await;
    call(&fixture, "DeleteApiKey", json!({"api_Key": key["id"]})).await;
    assert_eq!(call(&fixture, "GetApiKeys", json!({})).await["item"], json!([]));
}

fn document() -> Value {
    let mock = json!({
        "type": "mock",
        "requestTemplates": {"application/json": "{\"statusCode\" : 200}"},
        "responses": {"default": {
            "statusCode": "200",
            "responseParameters": {"method.response.header.Access-Control-Allow-Origin": "'*'"},
            "responseTemplates": {"application/json": "{}\n"},
        }},
    });
    json!({
        "swagger": "2.0",
        "info": {"title": "shop", "version": "1.0"},
        "paths": {"/orders/{id}": {
            "x-amazon-apigateway-any-method": {
                "x-amazon-apigateway-integration": {"httpMethod": "POST", "type": "aws_proxy", "uri": uri()},
                "x-amazon-apigateway-request-validator": "parameters",
                "parameters": [{"name": "size", "in": "query", "required": true}],
                "responses": {},
            },
            "options": {"x-amazon-apigateway-integration": mock, "responses": {"200": {"headers": {"Access-Control-Allow-Origin": {}}}}},
        }},
        "x-amazon-apigateway-request-validators": {"parameters": {"validateRequestParameters": true}},
        "x-amazon-apigateway-gateway-responses": {"DEFAULT_4XX": {
            "statusCode": "418",
            "responseParameters": {"gatewayresponse.header.X": "'y'"},
            "responseTemplates": {"application/json": "{\"why\": $context.error.messageString}"},
        }},
    })
}

#[tokio::test]
async fn documents_become_apis() {
    let fixture = Fixture::new();
    let api = call(&fixture, "CreateRestApi", json!({"name": "later"})).await;
    let id = api["id"].as_str().unwrap().to_owned();
    let overwrite = json!({"restapi_id": id, "mode": "overwrite"});
    let put = attempt(&fixture, "PutRestApi", overwrite.clone(), &document()).await.unwrap();
    assert_eq!(put["name"], "shop");
    call(&fixture, "CreateDeployment", json!({"restapi_id": id, "stageName": "p"})).await;
    let preflight = ask(&fixture, &id, "OPTIONS", "/p/orders/1", &[]).await;
    assert_eq!(told(&preflight), (200, "{}\n".into()));
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    let refused = ask(&fixture, &id, "GET", "/p/orders/1", &[]).await;
    assert_eq!(told(&refused), (418, "{\"why\": \"Missing required request parameters: [size]\"}".into()));
    assert_eq!(refused.headers()["x"], "y");
    let before = call(&fixture, "GetResources", json!({"restapi_id": id, "embed": ["methods"]})).await;
    let paths: Vec<&str> = before["item"].as_array().unwrap().iter().map(|r| r["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/", "/orders", "/orders/{id}"]);
    assert_eq!(before["item"][2]["resourceMethods"]["ANY"]["methodIntegration"]["type"], "AWS_PROXY");
    // Overwritten by nothing, there is nothing left but the root.
    let empty = json!({"openapi": "3.0.1", "info": {"title": "shop"}, "paths": {}});
    attempt(&fixture, "PutRestApi", overwrite, &empty).await.unwrap();
    let after = call(&fixture, "GetResources", json!({"restapi_id": id})).await;
    assert_eq!(after["item"], json!([{"id": api["rootResourceId"], "path": "/"}]));
    let mut import = document();
    import["mode"] = "import".into();
    let imported = call(&fixture, "CreateRestApi", import).await;
    assert_eq!(imported["name"], "shop");
    assert_eq!(call(&fixture, "GetRestApis", json!({})).await["item"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn bodies_are_held_against_models() {
    let fixture = Fixture::new();
    let document = json!({
        "mode": "import",
        "openapi": "3.0.1",
        "info": {"title": "cars", "version": "1.0"},
        "paths": {"/cars": {"post": {
            "x-amazon-apigateway-integration": {"httpMethod": "POST", "type": "aws_proxy", "uri": uri()},
            "x-amazon-apigateway-request-validator": "all",
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Car"}}}},
        }}},
        "components": {"schemas": {
            "Car": {"type": "object", "required": ["make"], "properties": {"make": {"$ref": "#/components/schemas/Make"}}},
            "Make": {"type": "string", "minLength": 1},
        }},
        "x-amazon-apigateway-request-validators": {"all": {"validateRequestBody": true, "validateRequestParameters": true}},
    });
    let api = call(&fixture, "CreateRestApi", document).await;
    let id = api["id"].as_str().unwrap().to_owned();
    // As Terraform asks for a deployment: without a stage.
    let deployment = call(&fixture, "CreateDeployment", json!({"restapi_id": id, "stageName": ""})).await;
    let stage = json!({"restapi_id": id, "stageName": "p", "deploymentId": deployment["id"]});
    call(&fixture, "CreateStage", stage).await;
    let refused = (400, json!({"message": "Invalid request body"}).to_string());
    for (body, content_type, is_good) in [
        (r#"{"make": "a"}"#, "application/json; charset=utf-8", true),
        (r#"{"make": ""}"#, "application/json", false),
        ("{}", "application/json", false),
        ("", "application/json", false),
        ("no JSON", "application/json", false),
        // Of another type, nothing is said.
        ("no JSON", "text/plain", true),
    ] {
        let mut asked = request(&format!("{id}.execute-api.us-east-1.localhost:4566"), "POST", "/p/cars");
        asked.body = Bytes::from(body);
        asked.headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, content_type.parse().unwrap())]);
        let answer = fixture.gateway.serve(asked).await;
        assert_eq!(told(&answer) != refused, is_good, "{body} as {content_type}");
        assert_eq!(answer.status() == 200, is_good, "{body} as {content_type}");
    }
}

#[tokio::test]
async fn back_ends_are_handed_the_request() {
    let fixture = Fixture::new();
    let (id, resource) = pets(&fixture, json!({})).await;
    let (address, backend) = backend(1).await;
    let integration = json!({
        "restapi_id": id, "resource_id": resource, "http_method": "GET", "type": "HTTP_PROXY", "httpMethod": "ANY",
        "uri": format!("http://{address}/animals/{{pet}}"),
        "requestParameters": {
            "integration.request.path.pet": "method.request.path.id",
            "integration.request.header.X-Fixed": "'a b'",
            "integration.request.querystring.v": "stageVariables.v",
        },
    });
    call(&fixture, "PutIntegration", integration).await;
    call(&fixture, "CreateDeployment", json!({"restapi_id": id, "stageName": "dev"})).await;
    let answer = ask(&fixture, &id, "GET", "/dev/pets/a%20b", &[("x-own", "1"), ("connection", "close")]).await;
    assert_eq!((told(&answer), answer.headers()["x-from"].to_str().unwrap()), ((201, "answered".into()), "backend"));
    let [asked] = &backend.await.unwrap()[..] else { panic!("one request") };
    assert!(asked.starts_with("get /animals/a%20b?v=1 http/1.1\r\n"), "{asked}");
    for line in [format!("\r\nhost: {address}\r\n"), "\r\nx-fixed: a b\r\n".into(), "\r\nx-own: 1\r\n".into()] {
        assert!(asked.contains(&line), "{line:?} in {asked}");
    }
    assert!(!asked.contains("connection: close"), "{asked}");
    // Nobody listens there any more.
    let message = json!({"message": "Network error communicating with endpoint"}).to_string();
    assert_eq!(told(&ask(&fixture, &id, "GET", "/dev/pets/1", &[]).await), (504, message));
}

#[tokio::test]
async fn refusals() {
    let fixture = Fixture::new();
    let (id, resource) = pets(&fixture, json!({})).await;
    let at = |more: Value| {
        let mut input = json!({"restapi_id": id, "resource_id": resource, "http_method": "GET"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    for (operation, input, status) in [
        ("GetRestApi", json!({"restapi_id": "none"}), 404),
        ("CreateRestApi", json!({}), 400),
        ("CreateRestApi", json!({"name": "a", "endpointConfiguration": {"types": ["PRIVATE"]}}), 501),
        ("PutMethod", at(json!({"authorizationType": "NONE"})), 409),
        ("PutMethod", at(json!({"http_method": "PUT", "authorizationType": "CUSTOM"})), 400),
        ("PutMethod", at(json!({"http_method": "FETCH", "authorizationType": "NONE"})), 400),
        ("PutIntegration", at(json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "example"})), 400),
        ("PutIntegration", at(json!({"type": "HTTP_PROXY", "uri": "http://example.com"})), 400),
        ("PutIntegration", at(json!({"type": "HTTP", "httpMethod": "GET", "uri": "http://example.com"})), 501),
        (
            "PutIntegration",
            at(json!({"type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://example.com",
                "requestParameters": {"integration.request.header.X": "method.request.body"}})),
            501,
        ),
        ("PutIntegration", at(json!({"type": "MOCK", "requestTemplates": {"application/json": "#set($a = 1)"}})), 501),
        ("PutIntegration", at(json!({"type": "AWS_PROXY", "uri": uri(), "timeoutInMillis": 30_000})), 400),
        (
            "PutMethod",
            at(json!({"http_method": "PUT", "authorizationType": "NONE", "requestValidatorId": "none"})),
            400,
        ),
        ("CreateStage", json!({"restapi_id": id, "stageName": "x", "deploymentId": "none"}), 400),
        ("CreateStage", json!({"restapi_id": id, "stageName": "dev", "deploymentId": "none"}), 409),
        ("CreateAuthorizer", json!({"restapi_id": id, "name": "a", "type": "COGNITO_USER_POOLS"}), 501),
        ("CreateApiKey", json!({"value": "short"}), 400),
        ("CreateUsagePlan", json!({"name": "p", "apiStages": [{"apiId": id, "stage": "none"}]}), 400),
        (
            "UpdateStage",
            json!({"restapi_id": id, "stage_name": "dev", "patchOperations": [{"op": "replace", "path": "/other", "value": ""}]}),
            400,
        ),
    ] {
        assert_eq!(fails(&fixture, operation, input.clone()).await.0, status, "{operation} {input}");
    }
    let stage = call(&fixture, "GetStage", json!({"restapi_id": id, "stage_name": "dev"})).await;
    let deployment = json!({"restapi_id": id, "deployment_id": stage["deploymentId"]});
    assert_eq!(fails(&fixture, "DeleteDeployment", deployment.clone()).await.0, 400, "a stage serves it");
    call(&fixture, "DeleteStage", json!({"restapi_id": id, "stage_name": "dev"})).await;
    call(&fixture, "DeleteDeployment", deployment).await;
    let root = call(&fixture, "GetRestApi", json!({"restapi_id": id})).await["rootResourceId"].clone();
    assert_eq!(fails(&fixture, "DeleteResource", json!({"restapi_id": id, "resource_id": root})).await.0, 400);
}

#[tokio::test]
async fn tags_and_the_account() {
    let fixture = Fixture::new();
    let (id, _) = pets(&fixture, json!({})).await;
    for resource in [format!("restapis/{id}"), format!("restapis/{id}/stages/dev")] {
        let arn = format!("arn:aws:apigateway:us-east-1::/{resource}");
        call(&fixture, "TagResource", json!({"resource_arn": arn, "tags": {"a": "1", "b": "2"}})).await;
        call(&fixture, "UntagResource", json!({"resource_arn": arn, "tagKeys": ["a"]})).await;
        assert_eq!(call(&fixture, "GetTags", json!({"resource_arn": arn})).await, json!({"tags": {"b": "2"}}));
    }
    let role = json!([{"op": "replace", "path": "/cloudwatchRoleArn", "value": "arn:aws:iam::0:role/r"}]);
    let account = call(&fixture, "UpdateAccount", json!({ "patchOperations": role })).await;
    assert_eq!(account["cloudwatchRoleArn"], "arn:aws:iam::0:role/r");
    assert_eq!(fails(&fixture, "GetTags", json!({"resource_arn": "arn:aws:apigateway:r::/other"})).await.0, 400);
}
