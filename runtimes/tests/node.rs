//! The Node.js host with handlers of every kind, driven through the sandbox's channel.
#![allow(clippy::unwrap_used)]

mod support;

use cumulet_sandbox::channel::ChannelError;
use serde_json::Value;
use support::{Running, records_first};

async fn start(handler: &str, files: &[(&str, &str)]) -> Running {
    let mut running = Running::start_host("node", handler, files, &[]);
    let (ready, log) = running.ready().await;
    assert_eq!(ready, Ok(()), "{log:#?}");
    running
}

/// A CommonJS `index.js` and what it answers to `{"a":1}`.
async fn check(code: &str, expected: Result<&str, &str>, expected_log: &[&str]) {
    let mut running = start("index.handler", &[("index.js", code)]).await;
    // Twice: the second event finds the host as the first one did.
    for _ in 0..2 {
        let (answer, log) = running.answer(r#"{"a":1}"#).await;
        match (&answer, expected) {
            (Ok(answer), Ok(expected)) => assert_eq!(answer, expected, "{code}"),
            (Err(error), Err(expected)) => {
                let mut error: Value = serde_json::from_str(error).unwrap();
                error.as_object_mut().unwrap().remove("trace");
                assert_eq!(error.to_string(), expected, "{code}");
            }
            _ => panic!("{code}: {answer:?}"),
        }
        let mut shown = records_first(log);
        shown.retain(|line| !line.contains("Invoke Error"));
        assert_eq!(shown, expected_log, "{code}");
    }
}

#[tokio::test]
async fn handlers_answer() {
    let table = [
        (
            "exports.handler = async (e) => ({ got: e });",
            r#"{"got":{"a":1}}"#,
        ),
        ("exports.handler = async () => {};", "null"),
        ("exports.handler = async () => 'é\\u2028';", "\"é\u{2028}\""),
        ("exports.handler = async () => () => 1;", "null"),
        ("exports.handler = () => 42;", "null"),
        ("exports.handler = () => ({ then: (ok) => ok(7) });", "7"),
        ("exports.handler = (e, c, cb) => cb(null, e.a);", "1"),
        (
            "exports.handler = (e, c, cb) => { setTimeout(() => cb(null, 'late'), 5); };",
            "\"late\"",
        ),
        (
            "exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 1e6); cb(null, 2); };",
            "2",
        ),
        (
            "let n = 0; exports.handler = (e, c, cb) => { n = 0; setTimeout(() => { n = 9; }, 5); const r = { get n() { return n; } }; cb(null, r); };",
            r#"{"n":9}"#,
        ),
        ("exports.handler = (e, c) => c.succeed('s');", "\"s\""),
        ("exports.handler = (e, c) => c.done(null, 'd');", "\"d\""),
        (
            "exports.handler = async (e, c) => { c.succeed(1); c.succeed(2); return 3; };",
            "1",
        ),
        (
            "exports.handler = async () => { await new Promise((r) => setTimeout(r, 5)); await require('fs').promises.readFile(__filename); return 'io'; };",
            "\"io\"",
        ),
        (
            "exports.handler = async (e, c) => [c.functionName, c.functionVersion, c.memoryLimitInMB, c.awsRequestId, c.logGroupName, c.logStreamName, c.invokedFunctionArn.split(':')[6], c.clientContext.custom.a, c.identity === undefined, typeof c.getRemainingTimeInMillis(), c.getRemainingTimeInMillis() > 1000, c.callbackWaitsForEmptyEventLoop];",
            r#"["hello","$LATEST","128","ID","/aws/lambda/hello","2026/11/23/[$LATEST]0","hello","b",true,"number",true,true]"#,
        ),
        (
            "exports.handler = async () => process.env._X_AMZN_TRACE_ID.slice(0, 7);",
            "\"Root=1-\"",
        ),
    ];
    for (code, expected) in table {
        check(code, Ok(expected), &[]).await;
    }
}

#[tokio::test]
async fn handlers_fail() {
    let table = [
        (
            "exports.handler = async () => { throw new TypeError('bad'); };",
            r#"{"errorType":"TypeError","errorMessage":"bad"}"#,
        ),
        (
            "exports.handler = () => { throw new RangeError('sync'); };",
            r#"{"errorType":"RangeError","errorMessage":"sync"}"#,
        ),
        (
            "exports.handler = (e, c, cb) => cb(new Error('cb'));",
            r#"{"errorType":"Error","errorMessage":"cb"}"#,
        ),
        (
            "exports.handler = (e, c, cb) => cb('text');",
            r#"{"errorType":"string","errorMessage":"text"}"#,
        ),
        (
            "exports.handler = async () => { throw 'text'; };",
            r#"{"errorType":"string","errorMessage":"text"}"#,
        ),
        (
            "exports.handler = async () => { throw { a: 1 }; };",
            r#"{"errorType":"object","errorMessage":"[object Object]"}"#,
        ),
        (
            "exports.handler = (e, c) => c.fail();",
            r#"{"errorType":"string","errorMessage":"handled"}"#,
        ),
        (
            "exports.handler = async () => { const e = new Error('m'); e.name = 'Custom'; throw e; };",
            r#"{"errorType":"Custom","errorMessage":"m"}"#,
        ),
        (
            "exports.handler = async () => ({ n: 1n });",
            r#"{"errorType":"Error","errorMessage":"Unable to stringify response body"}"#,
        ),
        (
            "exports.handler = () => Promise.reject({ toString() { throw 1; } });",
            r#"{"errorType":"handled","errorMessage":"callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack"}"#,
        ),
    ];
    for (code, expected) in table {
        check(code, Err(expected), &[]).await;
    }
}

#[tokio::test]
async fn errors_are_logged_with_their_trace() {
    let code = "exports.handler = async () => { const e = new Error('boom'); e.code = 'E_X'; e.stack = 'Error: boom\\n    at f (/var/task/index.js:1:1)'; throw e; };";
    let mut running = start("index.handler", &[("index.js", code)]).await;
    let (answer, log) = running.answer("{}").await;
    let trace = r#"["Error: boom","    at f (/var/task/index.js:1:1)"]"#;
    assert_eq!(
        answer.unwrap_err(),
        format!(r#"{{"errorType":"Error","errorMessage":"boom","trace":{trace}}}"#)
    );
    let expected = format!(
        "TIME\tID\tERROR\tInvoke Error \t{{\"errorType\":\"Error\",\"errorMessage\":\"boom\",\"code\":\"E_X\",\"stack\":{trace}}}"
    );
    assert_eq!(log, [expected]);
}

#[tokio::test]
async fn the_console_is_logged() {
    check(
        "exports.handler = async () => { console.log('a %s', 'b', { c: 1 }); console.warn('two\\nlines'); console.error(new Error('x').message); console.debug(); process.stdout.write('raw\\nrest'); };",
        Ok("null"),
        &[
            "TIME\tID\tINFO\ta b { c: 1 }",
            "TIME\tID\tWARN\ttwo\nlines",
            "TIME\tID\tERROR\tx",
            "TIME\tID\tDEBUG\tundefined",
            "raw",
            "rest",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_console_is_logged_as_json() {
    let code = "console.log('init'); exports.handler = async () => { console.debug('no'); console.info({ a: 1 }); console.error('e', 1); };";
    let env = [
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
    ];
    let mut running = Running::start_host("node", "index.handler", &[("index.js", code)], &env);
    let (ready, log) = running.ready().await;
    assert_eq!(ready, Ok(()));
    assert_eq!(
        log,
        [r#"{"timestamp":"TIME","level":"INFO","message":"init"}"#]
    );
    let (_, log) = running.answer("{}").await;
    assert_eq!(
        log,
        [
            r#"{"timestamp":"TIME","level":"INFO","requestId":"ID","message":{"a":1}}"#,
            r#"{"timestamp":"TIME","level":"ERROR","requestId":"ID","message":"e 1"}"#,
        ]
    );
}

#[tokio::test]
async fn modules_are_found() {
    let esm = "export const handler = async (e) => e.a;";
    let table: &[(&str, &[(&str, &str)])] = &[
        ("index.handler", &[("index.mjs", esm)]),
        (
            "index.handler",
            &[("index.js", esm), ("package.json", r#"{"type":"module"}"#)],
        ),
        (
            "index.handler",
            &[(
                "index.mjs",
                "const x = await Promise.resolve(1); export const handler = async (e) => x;",
            )],
        ),
        (
            "index.handler",
            &[("index.cjs", "exports.handler = async (e) => e.a;")],
        ),
        (
            "index.handler",
            &[
                ("index.cjs", "exports.handler = async (e) => e.a;"),
                ("package.json", r#"{"type":"module"}"#),
            ],
        ),
        (
            "src/lib/app.a.b",
            &[("src/lib/app.js", "exports.a = { b: async (e) => e.a };")],
        ),
        (
            "index.handler",
            &[
                (
                    "index.js",
                    "const n = require('dep'); exports.handler = async () => n;",
                ),
                ("node_modules/dep/index.js", "module.exports = 1;"),
            ],
        ),
        (
            "index.handler",
            &[
                (
                    "index.mjs",
                    "import n from 'dep'; export const handler = async () => n;",
                ),
                ("node_modules/dep/index.js", "module.exports = 1;"),
            ],
        ),
    ];
    for (handler, files) in table {
        let mut running = start(handler, files).await;
        assert_eq!(
            running.answer(r#"{"a":1}"#).await.0,
            Ok("1".into()),
            "{files:?}"
        );
    }
}

#[tokio::test]
async fn imports_and_requires_use_the_module_path() {
    let layer = tempfile::TempDir::new().unwrap();
    let module = layer.path().join("node_modules/shared");
    std::fs::create_dir_all(&module).unwrap();
    std::fs::write(module.join("index.js"), "module.exports = 5;").unwrap();
    let path = layer.path().join("node_modules");
    let env = [("NODE_PATH", path.to_str().unwrap())];
    for (name, code) in [
        (
            "index.mjs",
            "import n from 'shared'; export const handler = async () => n;",
        ),
        (
            "index.js",
            "const n = require('shared'); exports.handler = async () => n;",
        ),
    ] {
        let mut running = Running::start_host("node", "index.handler", &[(name, code)], &env);
        let (ready, log) = running.ready().await;
        assert_eq!(ready, Ok(()), "{name}: {log:#?}");
        assert_eq!(running.answer("{}").await.0, Ok("5".into()));
    }
}

#[tokio::test]
async fn initialisation_fails() {
    let table: &[(&str, &str, &str, &str)] = &[
        (
            "nope.handler",
            "",
            "Runtime.ImportModuleError",
            "Error: Cannot find module 'nope'\nRequire stack:\n- DIR/runtime/node/host.js",
        ),
        (
            "index.handler",
            "require('missing');",
            "Runtime.ImportModuleError",
            "Error: Cannot find module 'missing'\nRequire stack:\n- DIR/task/index.js\n- DIR/runtime/node/host.js",
        ),
        (
            "index.handler",
            "exports.handler = ;",
            "Runtime.UserCodeSyntaxError",
            "SyntaxError: Unexpected token ';'",
        ),
        (
            "index.nope",
            "exports.handler = 1;",
            "Runtime.HandlerNotFound",
            "index.nope is undefined or not exported",
        ),
        (
            "index.handler",
            "exports.handler = 1;",
            "Runtime.HandlerNotFound",
            "index.handler is not a function",
        ),
        ("index", "", "Runtime.MalformedHandlerName", "Bad handler"),
        (
            "../index.handler",
            "",
            "Runtime.MalformedHandlerName",
            "'../index.handler' is not a valid handler name. Use absolute paths when specifying root directories in handler names.",
        ),
        (
            "index.handler",
            "throw new TypeError('at load');",
            "TypeError",
            "at load",
        ),
        ("index.handler", "throw 'text';", "string", "text"),
    ];
    for (handler, code, kind, message) in table {
        let mut running = Running::start_host("node", handler, &[("index.js", code)], &[]);
        let (ready, log) = running.ready().await;
        let Err(ChannelError::Init(error)) = ready else {
            panic!("{handler} {code}: {ready:?} {log:#?}");
        };
        let text = running.mask(std::str::from_utf8(&error).unwrap());
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (error["errorType"].as_str(), error["errorMessage"].as_str()),
            (Some(*kind), Some(*message)),
            "{code}"
        );
        assert!(error["trace"].is_array());
        assert!(
            log[0].starts_with("TIME\tundefined\tERROR\tUncaught Exception \t{"),
            "{log:#?}"
        );
        assert_eq!(running.exit_code().await, Some(129));
    }
}

#[tokio::test]
async fn uncaught_errors_answer_and_end_the_process() {
    let table = [
        (
            "exports.handler = (e, c, cb) => { setTimeout(() => { throw new RangeError('loose'); }, 1); };",
            "RangeError",
            "loose",
            129,
        ),
        (
            "exports.handler = async () => { Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 1000)); };",
            "Runtime.UnhandledPromiseRejection",
            "Error: lost",
            128,
        ),
    ];
    for (code, kind, message, exit) in table {
        let mut running = start("index.handler", &[("index.js", code)]).await;
        let (answer, log) = running.answer("{}").await;
        let error: Value = serde_json::from_str(&answer.unwrap_err()).unwrap();
        assert_eq!(error["errorType"], kind);
        assert_eq!(error["errorMessage"], message);
        assert_eq!(log.len(), 1, "{log:#?}");
        assert_eq!(running.exit_code().await, Some(exit));
        assert_eq!(running.invoke("{}").await.0, Err(ChannelError::Closed));
    }
}

#[tokio::test]
async fn a_rejection_after_the_answer_ends_the_process_and_not_the_next_event() {
    let code = "exports.handler = async () => { Promise.reject(new Error('lost')); return 1; };";
    let mut running = start("index.handler", &[("index.js", code)]).await;
    assert_eq!(running.answer("{}").await.0, Ok("1".into()));
    assert_eq!(running.exit_code().await, Some(128));
}

#[tokio::test]
async fn an_exit_closes_the_channel() {
    let code = "exports.handler = async () => { console.log('bye'); process.stdout.write('half'); process.exit(3); };";
    let mut running = start("index.handler", &[("index.js", code)]).await;
    let (answer, log) = running.invoke("{}").await;
    assert_eq!(answer, Err(ChannelError::Closed));
    assert_eq!(log, ["TIME\tID\tINFO\tbye", "half"]);
    assert_eq!(running.exit_code().await, Some(3));
}

#[tokio::test]
async fn a_promise_never_settled_is_an_error() {
    check(
        "exports.handler = async () => { await new Promise(() => {}); };",
        Err(r#"{"errorType":"Runtime.NodeJsExit","errorMessage":"The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes"}"#),
        &[],
    )
    .await;
}

#[tokio::test]
async fn an_event_that_is_not_json_is_the_handlers_error() {
    let mut running = start(
        "index.handler",
        &[("index.js", "exports.handler = async () => 1;")],
    )
    .await;
    let (answer, _) = running.answer("{nope").await;
    assert!(
        answer
            .unwrap_err()
            .starts_with(r#"{"errorType":"SyntaxError","#)
    );
    assert_eq!(running.answer("{}").await.0, Ok("1".into()));
}

#[tokio::test]
async fn large_payloads_and_floods_of_output_pass() {
    let code = "exports.handler = async (e) => { for (let i = 0; i < 3000; i++) { process.stdout.write('x'.repeat(99) + '\\n'); process.stderr.write('y'.repeat(99) + '\\n'); console.log('z'.repeat(100)); } return e; };";
    let mut running = start("index.handler", &[("index.js", code)]).await;
    let text = format!("\"{}\"", "é".repeat(2 * 1024 * 1024));
    let (answer, log) = running.answer(&text).await;
    assert!(answer == Ok(text));
    assert_eq!(log.len(), 9000);
}

#[tokio::test]
async fn an_answer_too_large_is_refused() {
    let code = "exports.handler = async () => 'x'.repeat(7 * 1024 * 1024);";
    let mut running = start("index.handler", &[("index.js", code)]).await;
    let (answer, _) = running.invoke("{}").await;
    assert_eq!(
        answer,
        Err(ChannelError::ResponseTooLarge {
            bytes: 7 * 1024 * 1024 + 2
        })
    );
}

#[tokio::test]
async fn nothing_runs_between_events() {
    let code = "let turns = 0; (function turn() { turns++; setImmediate(turn); })(); exports.handler = async () => turns;";
    let mut running = start("index.handler", &[("index.js", code)]).await;
    let mut before: u64 = running.answer("{}").await.0.unwrap().parse().unwrap();
    for _ in 0..100 {
        let now: u64 = running.answer("{}").await.0.unwrap().parse().unwrap();
        assert!(now <= before + 2, "{before} {now}");
        before = now;
    }
}
