//! The operations from beginning to end, over the memory store.
#![allow(clippy::unwrap_used)]

use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::Caller;
use serde_json::json;

use super::*;

struct Fixture(Ssm);

impl Fixture {
    fn new() -> Fixture {
        Fixture(Ssm::new(Arc::new(MemoryStore::new()), &[1; 32]))
    }

    fn asked(operation: &str, input: Value) -> Call {
        let operation = MODEL.operations.iter().find(|o| o.name == operation).unwrap();
        let Value::Object(input) = input else { panic!("the input is an object") };
        let context = Context {
            caller: Caller::owner("000000000000"),
            region: "us-east-1".to_owned(),
            request_id: "r".to_owned(),
            host: "localhost".to_owned(),
            now_ms: 1_795_428_930_123,
            trace: None,
        };
        Call { operation, input, payload: bytes::Bytes::new(), context }
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.0.call(Fixture::asked(operation, input)).await.map(|answer| answer.output)
    }

    async fn good(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input).await.unwrap()
    }

    async fn code(&self, operation: &str, input: Value) -> String {
        self.call(operation, input).await.unwrap_err().code
    }
}

#[tokio::test]
async fn a_parameter_comes_changes_and_goes() {
    let f = Fixture::new();
    let put = json!({"Name": "/a/b", "Value": "1", "Type": "String", "Description": "d"});
    assert_eq!(f.good("PutParameter", put.clone()).await, json!({"Version": 1, "Tier": "Standard"}));
    assert_eq!(f.code("PutParameter", put).await, "ParameterAlreadyExists");
    let over = json!({"Name": "/a/b", "Value": "2", "Overwrite": true});
    assert_eq!(f.good("PutParameter", over).await["Version"], 2);
    let got = f.good("GetParameter", json!({"Name": "/a/b"})).await["Parameter"].clone();
    assert_eq!(
        (&got["Value"], &got["Version"], &got["ARN"], &got["LastModifiedDate"]),
        (&json!("2"), &json!(2), &json!("arn:aws:ssm:us-east-1:000000000000:parameter/a/b"), &json!(1_795_428_930.123))
    );
    let old = f.good("GetParameter", json!({"Name": "/a/b:1"})).await["Parameter"].clone();
    assert_eq!((&old["Value"], &old["Selector"]), (&json!("1"), &json!(":1")));
    let by_arn = f.good("GetParameter", json!({"Name": "arn:aws:ssm:us-east-1:000000000000:parameter/a/b"})).await;
    assert_eq!(by_arn["Parameter"]["Version"], 2);
    assert_eq!(f.code("GetParameter", json!({"Name": "/a/b:9"})).await, "ParameterVersionNotFound");
    let label = json!({"Name": "/a/b", "ParameterVersion": 1, "Labels": ["live", "1bad"]});
    assert_eq!(f.good("LabelParameterVersion", label).await["InvalidLabels"], json!(["1bad"]));
    assert_eq!(f.good("GetParameter", json!({"Name": "/a/b:live"})).await["Parameter"]["Value"], "1");
    let history = f.good("GetParameterHistory", json!({"Name": "/a/b"})).await["Parameters"].clone();
    assert_eq!((&history[0]["Labels"], &history[1]["Value"]), (&json!(["live"]), &json!("2")));
    assert_eq!(history[1]["Description"], "d");
    let unlabel = json!({"Name": "/a/b", "ParameterVersion": 1, "Labels": ["live", "x"]});
    let gone = f.good("UnlabelParameterVersion", unlabel).await;
    assert_eq!((&gone["RemovedLabels"], &gone["InvalidLabels"]), (&json!(["live"]), &json!(["x"])));
    f.good("DeleteParameter", json!({"Name": "/a/b"})).await;
    assert_eq!(f.code("GetParameter", json!({"Name": "/a/b"})).await, "ParameterNotFound");
    assert_eq!(f.code("DeleteParameter", json!({"Name": "/a/b"})).await, "ParameterNotFound");
}

#[tokio::test]
async fn secure_strings_are_not_stored_as_they_are() {
    let f = Fixture::new();
    f.good("PutParameter", json!({"Name": "s", "Value": "hush", "Type": "SecureString"})).await;
    let shown = f.good("GetParameter", json!({"Name": "s", "WithDecryption": true})).await;
    assert_eq!(shown["Parameter"]["Value"], "hush");
    let sealed = f.good("GetParameter", json!({"Name": "s"})).await["Parameter"]["Value"].clone();
    assert!(!sealed.as_str().unwrap().contains("hush"));
    f.good("PutParameter", json!({"Name": "s", "Value": "quiet", "Overwrite": true})).await;
    let history = f.good("GetParameterHistory", json!({"Name": "s", "WithDecryption": true})).await;
    let values: Vec<&Value> = history["Parameters"].as_array().unwrap().iter().map(|p| &p["Value"]).collect();
    assert_eq!(values, ["hush", "quiet"]);
    // A key of one's own is kept by its name.
    let key = json!({"Name": "k", "Value": "v", "Type": "SecureString", "KeyId": "alias/own"});
    f.good("PutParameter", key).await;
    let key_of = async |name: &str| {
        let history = f.good("GetParameterHistory", json!({"Name": name, "WithDecryption": true})).await;
        (history["Parameters"][0]["KeyId"].clone(), history["Parameters"][0]["Value"].clone())
    };
    assert_eq!(key_of("k").await, (json!("alias/own"), json!("v")));
    assert_eq!(key_of("s").await, (json!("alias/aws/ssm"), json!("hush")));
}

#[tokio::test]
async fn many_at_once_and_by_path() {
    let f = Fixture::new();
    for i in 0..12 {
        let name = format!("/p/{i:02}");
        f.good("PutParameter", json!({"Name": name, "Value": "v", "Type": "String"})).await;
    }
    f.good(
        "PutParameter",
        json!({"Name": "/p/deep/x", "Value": "a,b", "Type": "StringList", "Tags": [{"Key": "k", "Value": "v"}]}),
    )
    .await;
    let first = f.good("GetParametersByPath", json!({"Path": "/p"})).await;
    assert_eq!((first["Parameters"].as_array().unwrap().len(), &first["NextToken"]), (10, &json!("/p/09")));
    let rest = f.good("GetParametersByPath", json!({"Path": "/p", "NextToken": "/p/09"})).await;
    assert_eq!((rest["Parameters"].as_array().unwrap().len(), &rest["NextToken"]), (2, &Value::Null));
    let rest = json!({"Path": "/p/", "NextToken": "/p/09", "Recursive": true});
    assert_eq!(f.good("GetParametersByPath", rest).await["Parameters"].as_array().unwrap().len(), 3);
    let some = f.good("GetParameters", json!({"Names": ["/p/01", "nope"]})).await;
    assert_eq!((some["Parameters"].as_array().unwrap().len(), &some["InvalidParameters"]), (1, &json!(["nope"])));
    let tagged = json!({"ParameterFilters": [{"Key": "tag:k", "Values": ["v"]}]});
    let described = f.good("DescribeParameters", tagged).await["Parameters"].clone();
    assert_eq!((described.as_array().unwrap().len(), &described[0]["Name"]), (1, &json!("/p/deep/x")));
    let begins =
        json!({"ParameterFilters": [{"Key": "Name", "Option": "BeginsWith", "Values": ["/p/0"]}], "MaxResults": 7});
    let page = f.good("DescribeParameters", begins).await;
    assert_eq!((page["Parameters"].as_array().unwrap().len(), &page["NextToken"]), (7, &json!("/p/06")));
    let of = json!({"ResourceType": "Parameter", "ResourceId": "/p/00"});
    let mut tags = of.clone();
    tags["Tags"] = json!([{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]);
    f.good("AddTagsToResource", tags).await;
    let mut keys = of.clone();
    keys["TagKeys"] = json!(["a"]);
    f.good("RemoveTagsFromResource", keys).await;
    assert_eq!(f.good("ListTagsForResource", of).await["TagList"], json!([{"Key": "b", "Value": "2"}]));
    let deleted = f.good("DeleteParameters", json!({"Names": ["/p/00", "nope"]})).await;
    assert_eq!((&deleted["DeletedParameters"], &deleted["InvalidParameters"]), (&json!(["/p/00"]), &json!(["nope"])));
}

#[tokio::test]
async fn a_hundred_versions_are_kept() {
    let f = Fixture::new();
    f.good("PutParameter", json!({"Name": "v", "Value": "0", "Type": "String"})).await;
    for i in 1..105 {
        f.good("PutParameter", json!({"Name": "v", "Value": i.to_string(), "Overwrite": true})).await;
    }
    assert_eq!(f.code("GetParameter", json!({"Name": "v:5"})).await, "ParameterVersionNotFound");
    assert_eq!(f.good("GetParameter", json!({"Name": "v:6"})).await["Parameter"]["Value"], "5");
    f.good("LabelParameterVersion", json!({"Name": "v", "ParameterVersion": 6, "Labels": ["keep"]})).await;
    let put = json!({"Name": "v", "Value": "x", "Overwrite": true});
    assert_eq!(f.code("PutParameter", put).await, "ParameterMaxVersionLimitExceeded");
}

#[tokio::test]
async fn refusals() {
    let f = Fixture::new();
    let long = "x".repeat(4097);
    for (operation, input, code) in [
        ("PutParameter", json!({"Name": "a"}), "ValidationException"),
        ("PutParameter", json!({"Name": "a", "Value": "v"}), "ValidationException"),
        ("PutParameter", json!({"Name": "a b", "Value": "v", "Type": "String"}), "ValidationException"),
        ("PutParameter", json!({"Name": "a", "Value": "v", "Type": "Text"}), "UnsupportedParameterType"),
        ("PutParameter", json!({"Name": "a", "Value": long, "Type": "String"}), "ValidationException"),
        (
            "PutParameter",
            json!({"Name": "a", "Value": "v", "Type": "String", "AllowedPattern": "[0-9]+"}),
            "ParameterPatternMismatchException",
        ),
        (
            "PutParameter",
            json!({"Name": "a", "Value": "v", "Type": "String", "AllowedPattern": "("}),
            "InvalidAllowedPatternException",
        ),
        (
            "PutParameter",
            json!({"Name": "a", "Value": "v", "Type": "String", "Policies": "[{}]"}),
            "ValidationException",
        ),
        ("GetParameters", json!({"Names": []}), "ValidationException"),
        ("GetParametersByPath", json!({"Path": "a"}), "ValidationException"),
        ("DescribeParameters", json!({"ParameterFilters": [{"Key": "Nope"}]}), "InvalidFilterKey"),
        ("DescribeParameters", json!({"MaxResults": 51}), "ValidationException"),
        ("LabelParameterVersion", json!({"Name": "a", "Labels": ["l"]}), "ParameterNotFound"),
        ("ListTagsForResource", json!({"ResourceType": "Parameter", "ResourceId": "a"}), "InvalidResourceId"),
        ("ListTagsForResource", json!({"ResourceType": "Document", "ResourceId": "a"}), "InvalidResourceType"),
    ] {
        assert_eq!(f.code(operation, input.clone()).await, code, "{operation} {input}");
    }
    let advanced = json!({"Name": "a", "Value": long, "Type": "String", "Tier": "Intelligent-Tiering"});
    assert_eq!(f.good("PutParameter", advanced).await["Tier"], "Advanced");
}

#[tokio::test]
async fn each_name_is_asked_for() {
    struct OnlyA;

    #[async_trait]
    impl Authorizer for OnlyA {
        async fn authorize(&self, _: &Caller, action: &str, resource: &str) -> Result<(), ApiError> {
            assert!(action.starts_with("ssm:"), "{action}");
            match resource.ends_with(":parameter/a") {
                true => Ok(()),
                false => Err(ApiError::new(403, "AccessDeniedException", "no")),
            }
        }
    }

    let f = Fixture::new();
    let may = |operation: &str, input: Value| {
        let call = Fixture::asked(operation, input);
        let service = &f.0;
        async move { service.authorize(&OnlyA, &call).await.is_ok() }
    };
    assert!(may("GetParameter", json!({"Name": "/a"})).await);
    assert!(may("GetParameters", json!({"Names": ["a", "/a:1"]})).await);
    assert!(!may("GetParameters", json!({"Names": ["a", "b"]})).await);
    assert!(!may("GetParametersByPath", json!({"Path": "/"})).await);
}
