//! How many messages a queue has, for alarms that ask: read when a period of theirs has ended, and put as that period's value.
//! Queues that no alarm looks at are not counted, as a count may have to read the whole of one.

use cumulet_base::arn::Arn;
use cumulet_delivery::target;
use cumulet_wire::auth::Caller;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use serde_json::json;

use super::evaluate::Watch;
use crate::metrics::aggregate::Aggregate;
use crate::metrics::query::What;
use crate::metrics::writer::{Datum, Writer};
use crate::metrics::{Place, Series, unit_of};

/// Metrics and the attributes of a queue they are.
const METRICS: &[(&str, &str)] = &[
    ("ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessages"),
    ("ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesNotVisible"),
    ("ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesDelayed"),
];

pub struct Gauges {
    pub client: Client,
    pub writer: std::sync::Arc<Writer>,
}

/// The queue and the attribute that a series is about.
fn of(series: &Series) -> Option<(&str, &'static str)> {
    let [(name, queue)] = &series.dimensions[..] else { return None };
    let (_, attribute) = METRICS.iter().find(|(metric, _)| *metric == series.name)?;
    (series.namespace == "AWS/SQS" && name == "QueueName").then_some((queue.as_str(), *attribute))
}

impl Gauges {
    /// Those of an alarm, at a time.
    pub async fn read(&self, place: &Place, watch: &Watch, at_s: u64) {
        let mut data = Vec::new();
        for query in &watch.queries {
            let What::Metric(stat) = &query.what else { continue };
            let Some((queue, attribute)) = of(&stat.series) else { continue };
            match self.count(place, queue, attribute).await {
                Ok(Some(count)) => data.push(Datum {
                    series: stat.series.clone(),
                    unit: unit_of("Count").unwrap_or_default(),
                    at_s,
                    is_high: stat.period_s < 60,
                    values: Aggregate::of(count, 1.0),
                }),
                Ok(None) => {}
                // One that is not there has no value.
                Err(error) => tracing::debug!(queue, %error, "a queue of an alarm could not be counted"),
            }
        }
        if !data.is_empty()
            && let Err(error) = self.writer.write(place, data).await
        {
            tracing::warn!(%error, "the count of a queue could not be written");
        }
    }

    async fn count(&self, place: &Place, queue: &str, attribute: &str) -> Result<Option<f64>, ApiError> {
        let url = target::queue_url(&Arn::new("sqs", &place.region, &place.account, queue));
        let input = json!({ "QueueUrl": url, "AttributeNames": [attribute] });
        let caller = Caller::owner(&place.account);
        let answer =
            self.client.call(&caller, &place.region, "sqs", "GetQueueAttributes", input, bytes::Bytes::new()).await?;
        Ok(answer.output["Attributes"][attribute].as_str().and_then(|count| count.parse().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_a_queue() {
        let series = |namespace: &str, name: &str, dimension: &str| {
            Series::new(namespace, name, vec![(dimension.to_owned(), "q".to_owned())])
        };
        let visible = "ApproximateNumberOfMessagesVisible";
        assert_eq!(of(&series("AWS/SQS", visible, "QueueName")), Some(("q", "ApproximateNumberOfMessages")));
        for other in [
            series("Own", visible, "QueueName"),
            series("AWS/SQS", "Other", "QueueName"),
            series("AWS/SQS", visible, "x"),
        ] {
            assert_eq!(of(&other), None);
        }
    }
}
