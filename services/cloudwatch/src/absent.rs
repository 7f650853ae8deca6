//! The operations of AWS's model that are not built.

use cumulet_wire::operation::Operation;

pub const ABSENT: &[Operation] = &[
    Operation::rpc("DeleteAlarmMuteRule"),
    Operation::rpc("DeleteAnomalyDetector"),
    Operation::rpc("DeleteInsightRules"),
    Operation::rpc("DeleteMetricStream"),
    Operation::rpc("DescribeAlarmContributors"),
    Operation::rpc("DescribeAnomalyDetectors"),
    Operation::rpc("DescribeInsightRules"),
    Operation::rpc("DisableInsightRules"),
    Operation::rpc("EnableInsightRules"),
    Operation::rpc("GetAlarmMuteRule"),
    Operation::rpc("GetInsightRuleReport"),
    Operation::rpc("GetMetricStream"),
    Operation::rpc("GetMetricWidgetImage"),
    Operation::rpc("GetOTelEnrichment"),
    Operation::rpc("ListAlarmMuteRules"),
    Operation::rpc("ListManagedInsightRules"),
    Operation::rpc("ListMetricStreams"),
    Operation::rpc("PutAlarmMuteRule"),
    Operation::rpc("PutAnomalyDetector"),
    Operation::rpc("PutInsightRule"),
    Operation::rpc("PutManagedInsightRules"),
    Operation::rpc("PutMetricStream"),
    Operation::rpc("StartMetricStreams"),
    Operation::rpc("StartOTelEnrichment"),
    Operation::rpc("StopMetricStreams"),
    Operation::rpc("StopOTelEnrichment"),
];
