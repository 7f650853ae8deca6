//! Notices: what topics are told of, committed together with what they tell of, and published with the permissions of whoever
//! tells. A topic that is not there for an hour is not told.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::clock::Clock;
use cumulet_base::id;
use cumulet_wire::auth::Caller;
use cumulet_wire::client::Client;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::retry::{RetryPolicy, Verdict};
use crate::{Handler, Lane, NewTask, Next, Task};

const AGE_S_MAX: u64 = 3600;

/// The body of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notice {
    pub topic: String,
    pub region: String,
    pub caller: Caller,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub message: String,
}

impl Notice {
    /// The task that publishes it, after those of the same lane.
    ///
    /// # Errors
    /// None that a notice can have.
    pub fn task(&self, owner: &'static str, lane: String) -> Result<NewTask, serde_json::Error> {
        Ok(NewTask { owner, lane, due_ms: 0, body: serde_json::to_vec(self)?.into() })
    }
}

/// Publishes the notices of an owner.
pub struct Notices {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Handler for Notices {
    fn lane(&self, _: &str) -> Lane {
        Lane { is_ordered: true, ..Lane::default() }
    }

    async fn handle(&self, task: Task) -> Next {
        let notice: Notice = match serde_json::from_slice(&task.body) {
            Ok(notice) => notice,
            Err(error) => {
                tracing::error!(%error, "a notice cannot be read");
                return Next::Done;
            }
        };
        let mut input = json!({ "TopicArn": notice.topic, "Message": notice.message });
        if let Some(subject) = notice.subject {
            input["Subject"] = subject.into();
        }
        let told = self.client.call(&notice.caller, &notice.region, "sns", "Publish", input, Bytes::new()).await;
        let Err(error) = told else { return Next::Done };
        let policy = RetryPolicy { maximum_event_age_in_seconds: Some(AGE_S_MAX), ..RetryPolicy::default() };
        let now_ms = self.clock.now_ms();
        let jitter = u64::from_be_bytes(id::random());
        match policy.decide(&error, task.attempts, task.created_ms, now_ms, jitter) {
            Verdict::Again { due_ms } => Next::Retry { due_ms, body: None },
            Verdict::Over { .. } => {
                tracing::warn!(topic = notice.topic, code = error.code, "a topic was not told of something");
                Next::Done
            }
        }
    }
}
