//! DescribeAlarmHistory.

use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{offset, text, texts, time_s, whole};
use crate::metrics::Place;
use crate::{CloudWatch, errors};

pub async fn describe(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let kinds = texts(call, "AlarmTypes");
    let max = call.input.get("MaxRecords").and_then(whole).unwrap_or(100).clamp(1, 100) as usize;
    let (start_s, end_s) = (time_s(call, "StartDate")?.unwrap_or(0), time_s(call, "EndDate")?.unwrap_or(u64::MAX));
    let mut all = watch.storage.history(&Place::of(&call.context), text(call, "AlarmName")).await?;
    all.retain(|(_, item)| {
        let kind = if item.is_composite { "CompositeAlarm" } else { "MetricAlarm" };
        // Those of composite alarms are shown to those who ask for them, or for one by name.
        let by_kind = match kinds.is_empty() {
            true => text(call, "AlarmName").is_some() || !item.is_composite,
            false => kinds.contains(&kind),
        };
        by_kind
            && text(call, "HistoryItemType").is_none_or(|kind| kind == item.kind)
            && (start_s..=end_s).contains(&(item.at_ms / 1000))
    });
    all.sort_by_key(|(_, item)| item.at_ms);
    match text(call, "ScanBy") {
        None | Some("TimestampDescending") => all.reverse(),
        Some("TimestampAscending") => {}
        Some(other) => return Err(errors::validation(format!("ScanBy {other} is not known"))),
    }
    let offset = offset(call)?;
    let shown: Vec<Value> = all
        .iter()
        .skip(offset)
        .take(max)
        .map(|(name, item)| {
            json!({
                "AlarmName": name,
                "AlarmType": if item.is_composite { "CompositeAlarm" } else { "MetricAlarm" },
                "Timestamp": seconds(item.at_ms),
                "HistoryItemType": item.kind,
                "HistorySummary": item.summary,
                "HistoryData": item.data,
            })
        })
        .collect();
    let mut answer = json!({ "AlarmHistoryItems": shown });
    if all.len() > offset + max {
        answer["NextToken"] = (offset + max).to_string().into();
    }
    Answer::json(answer)
}
