//! The Python host with handlers of every kind, driven through the sandbox's channel.
#![allow(clippy::unwrap_used)]

mod support;

use cumulet_sandbox::channel::ChannelError;
use serde_json::Value;
use support::{Running, records_first};

async fn start(handler: &str, files: &[(&str, &str)]) -> Running {
    let mut running = Running::start_host("python", handler, files, &[]);
    let (ready, log) = running.ready().await;
    assert_eq!(ready, Ok(()), "{log:#?}");
    running
}

async fn answer(body: &str) -> (Result<String, String>, Vec<String>) {
    let code = format!("def handler(event, context):\n    {body}\n");
    let mut running = start("index.handler", &[("index.py", &code)]).await;
    let first = running.answer(r#"{"a":1}"#).await;
    let first = (first.0, records_first(first.1));
    // The second event finds the host as the first one did.
    let second = running.answer(r#"{"a":1}"#).await;
    assert_eq!((second.0, records_first(second.1)), first, "{body}");
    first
}

#[tokio::test]
async fn handlers_answer() {
    let table = [
        ("return {'got': event}", r#"{"got": {"a": 1}}"#),
        ("pass", "null"),
        (
            "from decimal import Decimal as D; return [D('5'), D('1.5'), D('1E+2'), D('5.0')]",
            "[5, 1.5, 100, 5.0]",
        ),
        ("return b'raw'", "raw"),
        (
            "c = context; return [c.function_name, c.function_version, c.memory_limit_in_mb, c.aws_request_id, c.log_group_name, c.log_stream_name, c.invoked_function_arn[-5:], c.client_context.custom['a'], c.client_context.client.app_title, c.client_context.env, c.identity.cognito_identity_id, c.get_remaining_time_in_millis() > 1000]",
            r#"["hello", "$LATEST", "128", "ID", "/aws/lambda/hello", "2026/11/23/[$LATEST]0", "hello", "b", "t", null, null, true]"#,
        ),
        (
            "import os; return os.environ['_X_AMZN_TRACE_ID'][:7]",
            "\"Root=1-\"",
        ),
        (
            "import sys, os; return os.path.basename(sys.path[0]), 'host' in sys.modules",
            r#"["task", false]"#,
        ),
        (
            "import os; pid = os.fork()\n    if pid == 0:\n        import logging; logging.warning('child'); return 'child'\n    os.waitpid(pid, 0); return 'parent'",
            "\"parent\"",
        ),
    ];
    for (body, expected) in table {
        assert_eq!(answer(body).await.0, Ok(expected.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn handlers_fail() {
    let (error, log) = answer("raise ValueError('bad\\nthing')").await;
    assert_eq!(
        error.unwrap_err(),
        r#"{"errorMessage": "bad\nthing", "errorType": "ValueError", "requestId": "ID", "stackTrace": ["  File \"DIR/task/index.py\", line 2, in handler\n    raise ValueError('bad\\nthing')\n"]}"#
    );
    assert_eq!(
        log,
        [
            "[ERROR] ValueError: bad\nthing\nTraceback (most recent call last):\n\u{a0}\u{a0}File \"DIR/task/index.py\", line 2, in handler\n\u{a0}\u{a0}\u{a0}\u{a0}raise ValueError('bad\\nthing')"
        ]
    );
    let (error, _) = answer("return {1, 2}").await;
    assert_eq!(
        error.unwrap_err(),
        r#"{"errorMessage": "Unable to marshal response: Object of type set is not JSON serializable", "errorType": "Runtime.MarshalError", "requestId": "ID", "stackTrace": []}"#
    );
}

#[tokio::test]
async fn prints_and_records_are_logged() {
    let (_, log) = answer("import logging; logging.getLogger().setLevel('INFO'); logging.info('an %s', 'info'); logging.getLogger('x').warning('two\\nlines'); logging.debug('no'); print('line'); print('half', end='')").await;
    assert_eq!(
        log,
        [
            "[INFO]\tTIME\tID\tan info",
            "[WARNING]\tTIME\tID\ttwo\nlines",
            "line",
            "half"
        ]
    );
}

#[tokio::test]
async fn records_are_logged_as_json() {
    let code = "import logging\nlogging.warning('init')\ndef handler(event, context):\n    logging.debug('no')\n    logging.getLogger('x').info('yes', extra={'k': 1})\n    raise KeyError('k')\n";
    let env = [
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
    ];
    let mut running = Running::start_host("python", "index.handler", &[("index.py", code)], &env);
    let (ready, log) = running.ready().await;
    assert_eq!(ready, Ok(()));
    assert_eq!(
        log,
        [
            r#"{"timestamp": "TIME", "level": "WARNING", "message": "init", "logger": "root", "requestId": ""}"#
        ]
    );
    let (_, log) = running.answer("{}").await;
    assert_eq!(
        log[0],
        r#"{"timestamp": "TIME", "level": "INFO", "message": "yes", "logger": "x", "requestId": "ID", "k": 1}"#
    );
    let error: Value = serde_json::from_str(&log[1]).unwrap();
    assert_eq!(
        (&error["level"], &error["errorType"]),
        (&"ERROR".into(), &"KeyError".into())
    );
    assert_eq!(log.len(), 2);
}

#[tokio::test]
async fn modules_are_found() {
    let code = "def handler(event, context):\n    return event['a']\n";
    for (handler, path) in [
        ("index.handler", "index.py"),
        ("pkg/mod.handler", "pkg/mod.py"),
        ("pkg.mod.handler", "pkg/mod.py"),
        ("host.handler", "host.py"),
    ] {
        let mut running = start(handler, &[(path, code)]).await;
        assert_eq!(
            running.answer(r#"{"a":1}"#).await.0,
            Ok("1".into()),
            "{handler}"
        );
    }
}

#[tokio::test]
async fn initialisation_fails() {
    let table: &[(&str, &str, &str, &str)] = &[
        (
            "nope.handler",
            "",
            "Runtime.ImportModuleError",
            "Unable to import module 'nope': No module named 'nope'",
        ),
        (
            "index.handler",
            "import missing",
            "Runtime.ImportModuleError",
            "Unable to import module 'index': No module named 'missing'",
        ),
        (
            "index.handler",
            "def x(:",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'index': invalid syntax (index.py, line 1)",
        ),
        (
            "index.nope",
            "",
            "Runtime.HandlerNotFound",
            "Handler 'nope' missing on module 'index'",
        ),
        (
            "index",
            "",
            "Runtime.MalformedHandlerName",
            "Bad handler 'index': not enough values to unpack (expected 2, got 1)",
        ),
        (
            "sys.handler",
            "",
            "Runtime.BuiltInModuleConflict",
            "Cannot use built-in module sys as a handler module",
        ),
        (
            "index.handler",
            "raise ValueError('at load')",
            "ValueError",
            "at load",
        ),
    ];
    for (handler, code, kind, message) in table {
        let mut running = Running::start_host("python", handler, &[("index.py", code)], &[]);
        let (ready, log) = running.ready().await;
        let Err(ChannelError::Init(error)) = ready else {
            panic!("{handler} {code}: {ready:?} {log:#?}");
        };
        let error: Value = serde_json::from_slice(&error).unwrap();
        assert_eq!(
            (error["errorType"].as_str(), error["errorMessage"].as_str()),
            (Some(*kind), Some(*message)),
            "{code}"
        );
        assert_eq!(error["requestId"], "");
        assert!(error["stackTrace"].is_array());
        assert!(
            log[0].starts_with(&format!("[ERROR] {kind}: {message}\nTraceback")),
            "{log:#?}"
        );
        assert_eq!(running.exit_code().await, Some(1));
    }
}

#[tokio::test]
async fn an_exit_closes_the_channel() {
    for (body, code) in [("sys.exit(3)", 3), ("os._exit(4)", 4)] {
        let code_text =
            format!("import os, sys\ndef handler(e, c):\n    print('bye')\n    {body}\n");
        let mut running = start("index.handler", &[("index.py", &code_text)]).await;
        let (answer, log) = running.invoke("{}").await;
        assert_eq!(answer, Err(ChannelError::Closed));
        assert_eq!(log, ["bye"]);
        assert_eq!(running.exit_code().await, Some(code));
    }
}

#[tokio::test]
async fn an_event_that_is_not_json_is_an_error() {
    let mut running = start(
        "index.handler",
        &[("index.py", "def handler(e, c): return 1")],
    )
    .await;
    let (answer, _) = running.answer("{nope").await;
    let error: Value = serde_json::from_str(&answer.unwrap_err()).unwrap();
    assert_eq!(error["errorType"], "Runtime.UnmarshalError");
    assert_eq!(running.answer("{}").await.0, Ok("1".into()));
}

#[tokio::test]
async fn large_payloads_and_floods_of_output_pass() {
    let code = "import logging, sys\ndef handler(e, c):\n    for _ in range(3000):\n        print('x' * 99); print('y' * 99, file=sys.stderr); logging.warning('z' * 100)\n    return e\n";
    let mut running = start("index.handler", &[("index.py", code)]).await;
    let text = format!("\"{}\"", "x".repeat(5 * 1024 * 1024));
    let (answer, log) = running.answer(&text).await;
    assert!(answer == Ok(text));
    assert_eq!(log.len(), 9000);
}
