// CloudWatch through the SDK for JavaScript: times, numbers and errors as it reads them.
import assert from 'node:assert/strict';
import {
  CloudWatchClient, DescribeAlarmsCommand, GetMetricDataCommand, ListMetricsCommand, PutMetricAlarmCommand, PutMetricDataCommand,
  SetAlarmStateCommand, waitUntilAlarmExists,
} from '@aws-sdk/client-cloudwatch';

const client = new CloudWatchClient({});
const at = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 60_000);
const data = [3, 4.5].map((Value) => ({ MetricName: 'm', Value, Timestamp: at, Unit: 'Count' }));
await client.send(new PutMetricDataCommand({ Namespace: 'Js', MetricData: data }));
const query = { Id: 'm1', MetricStat: { Metric: { Namespace: 'Js', MetricName: 'm' }, Period: 60, Stat: 'Average' } };
const found = await client.send(new GetMetricDataCommand({
  MetricDataQueries: [query], StartTime: new Date(at - 60_000), EndTime: new Date(+at + 60_000),
}));
assert.deepEqual(found.MetricDataResults[0].Values, [3.75]);
assert.deepEqual(found.MetricDataResults[0].Timestamps, [at]);
const listed = await client.send(new ListMetricsCommand({ Namespace: 'Js' }));
assert.deepEqual(listed.Metrics, [{ Namespace: 'Js', MetricName: 'm', Dimensions: [] }]);
await client.send(new PutMetricAlarmCommand({
  AlarmName: 'js', Namespace: 'Js', MetricName: 'm', Statistic: 'Sum', Period: 60, EvaluationPeriods: 1, Threshold: 1,
  ComparisonOperator: 'GreaterThanThreshold',
}));
await waitUntilAlarmExists({ client, maxWaitTime: 10 }, { AlarmNames: ['js'] });
const [alarm] = (await client.send(new DescribeAlarmsCommand({ AlarmNames: ['js'] }))).MetricAlarms;
assert.ok(alarm.StateUpdatedTimestamp instanceof Date);
assert.equal(alarm.Threshold, 1);
const none = new SetAlarmStateCommand({ AlarmName: 'none', StateValue: 'OK', StateReason: 'r' });
await assert.rejects(client.send(none), { name: 'ResourceNotFound' });
