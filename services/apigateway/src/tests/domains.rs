//! Domain names: both versions' operations on one list, and requests on their way by them.

use super::*;
use crate::rest::tests as rest;

const CERTIFICATE: &str = "arn:aws:acm:us-east-1:000000000000:certificate/1";

fn named(name: &str) -> Value {
    json!({"domainName": name, "domainNameConfigurations": [{"certificateArn": CERTIFICATE, "endpointType": "REGIONAL"}]})
}

impl Fixture {
    fn last(&self) -> Value {
        self.world.events.lock().unwrap().last().unwrap().1.clone()
    }
}

#[tokio::test]
async fn hosts_lead_to_the_apis_behind_their_paths() {
    let f = Fixture::new();
    let (id, _) = f.quick().await;
    let domain = f.call("CreateDomainName", named("api.example.com")).await;
    let configuration = &domain["domainNameConfigurations"][0];
    assert_eq!(
        (&configuration["certificateArn"], &configuration["domainNameStatus"]),
        (&json!(CERTIFICATE), &json!("AVAILABLE"))
    );
    assert!(configuration["apiGatewayDomainName"].as_str().unwrap().ends_with(".execute-api.us-east-1.localhost"));
    assert!(f.gateway.claims("api.example.com", "/x") && !f.gateway.claims("example.com", "/x"));
    assert_eq!(f.get("api.example.com", "GET", "/x").await, (403, r#"{"message":"Forbidden"}"#.into()));
    let mapping =
        json!({"domainName": "api.example.com", "apiId": id, "stage": "$default", "apiMappingKey": "shop/v1"});
    let made = f.call("CreateApiMapping", mapping.clone()).await;
    assert_eq!(f.fails("CreateApiMapping", mapping).await, (409, "ConflictException".into()));
    assert_eq!(f.get("API.example.com:443", "GET", "/shop/v1/a/b").await, (200, "hello".into()));
    let event = f.last();
    assert_eq!(
        (&event["rawPath"], &event["requestContext"]["domainName"]),
        (&json!("/a/b"), &json!("api.example.com"))
    );
    assert_eq!(event["requestContext"]["domainPrefix"], "api");
    assert_eq!(f.get("api.example.com", "GET", "/shop").await.0, 403);
    // A REST API beside it, by version 1's own operations.
    let (rest_id, _) = rest::pets(&f, json!({})).await;
    let base = json!({"domain_name": "api.example.com", "basePath": "animals", "restApiId": rest_id, "stage": "dev"});
    assert_eq!(rest::call(&f, "CreateBasePathMapping", base).await["basePath"], "animals");
    assert_eq!(f.get("api.example.com", "GET", "/animals/pets/7").await, (200, "hello".into()));
    let event = f.last();
    assert_eq!(
        (&event["path"], &event["requestContext"]["path"]),
        (&json!("/animals/pets/7"), &json!("/animals/pets/7"))
    );
    assert_eq!((&event["pathParameters"]["id"], &event["requestContext"]["stage"]), (&json!("7"), &json!("dev")));
    // Without a stage the path names it.
    let all = json!({"domain_name": "api.example.com", "restApiId": rest_id});
    assert_eq!(rest::call(&f, "CreateBasePathMapping", all).await["basePath"], "(none)");
    assert_eq!(f.get("api.example.com", "GET", "/dev/pets/8").await, (200, "hello".into()));
    assert_eq!(f.last()["path"], "/dev/pets/8");
    let listed = f.call("GetApiMappings", json!({"domainName": "api.example.com"})).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    // An API with a way to it stays; so does its way when its own address is closed.
    assert_eq!(f.fails("DeleteApi", json!({"apiId": id})).await, (400, "BadRequestException".into()));
    assert_eq!(
        rest::fails(&f, "DeleteRestApi", json!({"restapi_id": rest_id})).await,
        (400, "BadRequestException".into())
    );
    f.call("UpdateApi", json!({"apiId": id, "disableExecuteApiEndpoint": true})).await;
    assert_eq!(f.get("api.example.com", "GET", "/shop/v1").await.0, 200);
    let moved = json!({"domainName": "api.example.com", "apiMappingId": made["apiMappingId"], "apiId": id, "apiMappingKey": "new"});
    assert_eq!(f.call("UpdateApiMapping", moved).await["apiMappingKey"], "new");
    assert_eq!(f.get("api.example.com", "GET", "/new").await.0, 200);
    let one = json!({"domainName": "api.example.com", "apiMappingId": made["apiMappingId"]});
    f.call("DeleteApiMapping", one.clone()).await;
    assert_eq!(f.fails("GetApiMapping", one).await, (404, "NotFoundException".into()));
    f.call("DeleteApi", json!({"apiId": id})).await;
    f.call("DeleteDomainName", json!({"domainName": "api.example.com"})).await;
    assert!(!f.gateway.claims("api.example.com", "/x"));
}

#[tokio::test]
async fn named_stages_and_older_events() {
    let f = Fixture::new();
    let api = f.call("CreateApi", json!({"name": "a", "protocolType": "HTTP"})).await["apiId"].clone();
    let integration =
        json!({"apiId": api, "integrationType": "AWS_PROXY", "integrationUri": ARN, "payloadFormatVersion": "1.0"});
    let old = f.call("CreateIntegration", integration.clone()).await["integrationId"].clone();
    let mut integration = integration;
    integration["payloadFormatVersion"] = "2.0".into();
    let new = f.call("CreateIntegration", integration).await["integrationId"].clone();
    for (key, target) in [("GET /old", old), ("GET /new", new)] {
        let target = format!("integrations/{}", target.as_str().unwrap());
        f.call("CreateRoute", json!({"apiId": api, "routeKey": key, "target": target})).await;
    }
    f.call("CreateStage", json!({"apiId": api, "stageName": "dev", "autoDeploy": true})).await;
    f.call("CreateDomainName", named("*.example.com")).await;
    f.call(
        "CreateApiMapping",
        json!({"domainName": "*.example.com", "apiId": api, "stage": "dev", "apiMappingKey": "k"}),
    )
    .await;
    assert_eq!(f.get("one.example.com", "GET", "/k/old").await.0, 200);
    assert_eq!(f.last()["path"], "/k/old");
    assert_eq!(f.get("two.example.com", "GET", "/k/new").await.0, 200);
    assert_eq!(f.last()["rawPath"], "/dev/new");
    assert_eq!(f.get("two.example.com", "GET", "/k/dev/new").await.0, 404);
}

#[tokio::test]
async fn domain_names_outlive_the_process() {
    let world = Arc::new(World::default());
    let store = Arc::new(cumulet_store_memory::MemoryStore::new());
    let start = || ApiGateway::new(store.clone(), world.clone(), world.clone(), Arc::new(Signatures), None);
    let f = Fixture { gateway: Arc::new(start()), world: world.clone() };
    f.call("CreateDomainName", named("api.example.com")).await;
    let again = start();
    assert!(!again.claims("api.example.com", "/"));
    again.make_ready().await.unwrap();
    assert!(again.claims("api.example.com", "/"));
}

#[tokio::test]
async fn what_is_shown_changed_and_refused() {
    let f = Fixture::new();
    let regional = json!({"domainName": "a.example.com", "regionalCertificateArn": CERTIFICATE, "tags": {"a": "b"}});
    let domain = rest::call(&f, "CreateDomainName", regional).await;
    assert_eq!(
        (&domain["endpointConfiguration"]["types"], &domain["tags"]),
        (&json!(["REGIONAL"]), &json!({"a": "b"}))
    );
    assert!(domain["regionalDomainName"].is_string() && domain["distributionDomainName"].is_null());
    let edge = json!({"domainName": "b.example.com", "certificateArn": CERTIFICATE});
    assert!(rest::call(&f, "CreateDomainName", edge).await["distributionDomainName"].is_string());
    assert_eq!(f.call("GetDomainNames", json!({})).await["items"].as_array().unwrap().len(), 2);
    assert_eq!(rest::call(&f, "GetDomainNames", json!({})).await["item"].as_array().unwrap().len(), 2);
    let patch = |path: &str, value: &str| json!({"domain_name": "a.example.com", "patchOperations": [{"op": "replace", "path": path, "value": value}]});
    let other = CERTIFICATE.replace("/1", "/2");
    let changed = rest::call(&f, "UpdateDomainName", patch("/regionalCertificateArn", &other)).await;
    assert_eq!(changed["regionalCertificateArn"], other);
    assert_eq!(rest::fails(&f, "UpdateDomainName", patch("/nothing", "x")).await.0, 400);
    let mut tls = named("a.example.com");
    tls["domainNameConfigurations"][0]["securityPolicy"] = "TLS_1_0".into();
    assert_eq!(
        f.call("UpdateDomainName", tls.clone()).await["domainNameConfigurations"][0]["securityPolicy"],
        "TLS_1_0"
    );
    tls["domainNameConfigurations"][0]["securityPolicy"] = "TLS_0".into();
    assert_eq!(f.fails("UpdateDomainName", tls).await.0, 400);
    assert_eq!(f.fails("CreateDomainName", named("a.example.com")).await, (409, "ConflictException".into()));
    for name in [
        "localhost",
        "127.0.0.1",
        "EXAMPLE.com",
        "x",
        "-a.example.com",
        "a..b",
        "shop.localhost",
        "a.execute-api.us-east-1.localhost",
        "b.s3.localhost",
        "x.amazonaws.com",
    ] {
        assert_eq!(f.fails("CreateDomainName", named(name)).await, (400, "BadRequestException".into()), "{name}");
    }
    let mut bad = named("c.example.com");
    bad["domainNameConfigurations"][0]["certificateArn"] = "arn:aws:sqs:us-east-1:000000000000:q".into();
    assert_eq!(f.fails("CreateDomainName", bad).await.0, 400);
    let mut mutual = named("c.example.com");
    mutual["mutualTlsAuthentication"] = json!({"truststoreUri": "s3://b/k"});
    assert_eq!(f.fails("CreateDomainName", mutual).await, (501, "NotImplemented".into()));
    assert_eq!(f.fails("GetDomainName", json!({"domainName": "none.example.com"})).await.0, 404);
    let foreign = f.call_as("111111111111", "GetDomainName", json!({"domainName": "a.example.com"})).await;
    assert_eq!(foreign.unwrap_err().status, 404);
    let (id, _) = f.quick().await;
    for (mapping, status) in [
        (json!({"domainName": "a.example.com", "apiId": "none", "stage": "$default"}), 404),
        (json!({"domainName": "a.example.com", "apiId": id, "stage": "none"}), 404),
        (json!({"domainName": "none.example.com", "apiId": id, "stage": "$default"}), 404),
        (json!({"domainName": "a.example.com", "apiId": id, "stage": "$default", "apiMappingKey": "/a"}), 400),
        (json!({"domainName": "a.example.com", "apiId": id}), 400),
    ] {
        assert_eq!(f.fails("CreateApiMapping", mapping.clone()).await.0, status, "{mapping}");
    }
    let base = |more: Value| {
        let mut input = json!({"domain_name": "a.example.com", "base_path": "(none)"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    assert_eq!(rest::fails(&f, "GetBasePathMapping", base(json!({}))).await.0, 404);
    rest::call(
        &f,
        "CreateBasePathMapping",
        json!({"domain_name": "a.example.com", "restApiId": id, "stage": "$default"}),
    )
    .await;
    let patch = json!({"patchOperations": [{"op": "replace", "path": "/basePath", "value": "x"}]});
    assert_eq!(rest::call(&f, "UpdateBasePathMapping", base(patch)).await["basePath"], "x");
    rest::call(&f, "DeleteBasePathMapping", json!({"domain_name": "a.example.com", "base_path": "x"})).await;
    rest::call(&f, "DeleteDomainName", json!({"domain_name": "a.example.com"})).await;
}
