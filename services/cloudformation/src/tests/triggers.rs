//! Alarms that take stacks back, while they are made or changed and for a while after.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const ALARM: &str = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:errors";

#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Fixture {
    fn alarm(&self, state: Option<&str>) {
        let mut alarms = self.recorder.alarms.lock().unwrap();
        match state {
            Some(state) => drop(alarms.insert(ALARM.to_owned(), state.to_owned())),
            None => drop(alarms.remove(ALARM)),
        }
    }

    /// How often the alarms were looked at.
    fn looks(&self) -> usize {
        self.recorder.calls.lock().unwrap().iter().filter(|(name, _)| name == "DescribeAlarms").count()
    }

    /// Once they were looked at again.
    async fn looked(&self) {
        let before = self.looks();
        let again = async {
            while self.looks() < before + 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
    }

    async fn ended(&self, status: &str, why: &str) {
        let stack = self.settled("s").await;
        assert_eq!(stack["StackStatus"], status, "{stack}");
        assert!(stack["StackStatusReason"].as_str().unwrap_or_default().contains(why), "{stack}");
        self.free().await;
    }
}

fn guarded(template: String, minutes: u64) -> Value {
    let mut input = create(template);
    let triggers = json!([{"Arn": ALARM, "Type": "AWS::CloudWatch::Alarm"}]);
    input["RollbackConfiguration"] = json!({"RollbackTriggers": triggers, "MonitoringTimeInMinutes": minutes});
    input
}

#[tokio::test]
async fn alarms_take_back_what_is_under_way() {
    let f = Fixture::new();
    f.call("CreateStack", guarded(plain(128, false), 0)).await;
    f.ended("ROLLBACK_COMPLETE", "does not exist").await;
    f.call("DeleteStack", json!({"StackName": "s"})).await;
    f.free().await;
    f.alarm(Some("INSUFFICIENT_DATA"));
    f.call("CreateStack", guarded(plain(128, false), 0)).await;
    f.ended("CREATE_COMPLETE", "").await;
    // They stay with the stack, and wait for nobody.
    f.alarm(Some("ALARM"));
    f.call("UpdateStack", create(plain(256, false))).await;
    f.ended("UPDATE_ROLLBACK_COMPLETE", "is in the state ALARM").await;
    let mut input = create(plain(256, false));
    input["RollbackConfiguration"] = json!({"RollbackTriggers": []});
    f.call("UpdateStack", input).await;
    f.ended("UPDATE_COMPLETE", "").await;
    let shown = f.call("DescribeStacks", json!({"StackName": "s"})).await["Stacks"][0]["RollbackConfiguration"].clone();
    assert_eq!(shown, json!({}));
}

/// What only waits does not wait any longer.
#[tokio::test]
async fn an_alarm_ends_waiting() {
    let f = Fixture::new();
    f.alarm(Some("OK"));
    let waits = json!({"Resources": {"W": {"Type": "AWS::CloudFormation::WaitCondition",
        "CreationPolicy": {"ResourceSignal": {"Timeout": "PT12H"}}}}});
    f.call("CreateStack", guarded(waits.to_string(), 0)).await;
    f.looked().await;
    f.alarm(Some("ALARM"));
    f.ended("ROLLBACK_COMPLETE", "is in the state ALARM").await;
}

#[tokio::test]
async fn the_monitoring_time_goes_by_or_is_cut_short() {
    let store = Arc::new(cumulet_store_memory::MemoryStore::new());
    let clock = Arc::new(Hands::default());
    let f = Fixture::at(store.clone(), clock.clone());
    let pass = |minutes: u64| clock.0.fetch_add(minutes * 60_000, Ordering::SeqCst);
    f.alarm(Some("OK"));
    f.call("CreateStack", guarded(plain(128, false), 60)).await;
    f.looked().await;
    let stack = f.call("DescribeStacks", json!({"StackName": "s"})).await["Stacks"][0].clone();
    assert_eq!(stack["StackStatus"], "CREATE_IN_PROGRESS");
    // It goes on after a crash, which a look that never returns stands for, and does not begin anew.
    *f.recorder.hangs.lock().unwrap() = Some("DescribeAlarms".into());
    f.recorder.reached.notified().await;
    pass(30);
    let g = Fixture::at(store, clock.clone());
    g.alarm(Some("OK"));
    g.service.recover().await.unwrap();
    g.looked().await;
    assert!(!g.calls().contains(&"CreateFunction".to_owned()));
    pass(30);
    g.ended("CREATE_COMPLETE", "").await;
    g.call("UpdateStack", create(plain(256, false))).await;
    g.looked().await;
    g.call("CancelUpdateStack", json!({"StackName": "s"})).await;
    g.ended("UPDATE_ROLLBACK_COMPLETE", "User Initiated").await;
    g.call("UpdateStack", create(plain(256, false))).await;
    g.looked().await;
    g.alarm(Some("ALARM"));
    g.ended("UPDATE_ROLLBACK_COMPLETE", "is in the state ALARM").await;
}

#[tokio::test]
async fn change_sets_bring_triggers_along() {
    let f = Fixture::new();
    let mut input = guarded(plain(128, false), 7);
    (input["ChangeSetName"], input["ChangeSetType"]) = ("c".into(), "CREATE".into());
    let wanted = input["RollbackConfiguration"].clone();
    f.call("CreateChangeSet", input).await;
    let named = json!({"StackName": "s", "ChangeSetName": "c"});
    assert_eq!(f.call("DescribeChangeSet", named.clone()).await["RollbackConfiguration"], wanted);
    f.call("ExecuteChangeSet", named).await;
    f.ended("ROLLBACK_COMPLETE", "does not exist").await;
}
