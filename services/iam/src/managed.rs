//! The AWS managed policies that exist here, by ARN, with documents written after
//! <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/about-managed-policy-reference.html>.
//! Others do not exist: attaching them is an error, so that nobody counts on rights that are not given.

mod further;

pub struct Managed {
    pub arn: &'static str,
    /// `ANPA…`, ours.
    pub id: &'static str,
    pub description: &'static str,
    pub document: &'static str,
}

impl Managed {
    pub fn name(&self) -> &'static str {
        self.arn.rsplit('/').next().unwrap_or(self.arn)
    }

    /// `/` or `/service-role/`.
    pub fn path(&self) -> String {
        let inside = self.arn.split_once(":policy").map_or("/", |(_, path)| path);
        inside[..inside.len() - self.name().len()].to_owned()
    }
}

pub fn all() -> impl Iterator<Item = &'static Managed> {
    ALL.iter().chain(further::FURTHER)
}

pub fn find(arn: &str) -> Option<&'static Managed> {
    all().find(|policy| policy.arn == arn)
}

#[rustfmt::skip]
const ALL: &[Managed] = &[
    Managed {
        arn: "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
        id: "ANPACUMULETLAMBDABASIC",
        description: "Provides write permissions to CloudWatch Logs.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/service-role/AWSCodeDeployRoleForLambda",
        id: "ANPACUMULETCODEDEPLOYL",
        description: "Lets CodeDeploy shift the traffic of a function's alias.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["cloudwatch:DescribeAlarms","lambda:UpdateAlias","lambda:GetAlias","lambda:GetProvisionedConcurrencyConfig"],"Resource":"*"},{"Effect":"Allow","Action":"sns:Publish","Resource":"*"},{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::*/CodeDeploy/*"},{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/UseWithCodeDeploy":"true"}}},{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:*:*:function:CodeDeployHook_*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited",
        id: "ANPACUMULETCODEDEPLOYM",
        description: "Lets CodeDeploy shift the traffic of a function's alias.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["cloudwatch:DescribeAlarms","lambda:UpdateAlias","lambda:GetAlias","lambda:GetProvisionedConcurrencyConfig"],"Resource":"*"},{"Effect":"Allow","Action":"sns:Publish","Resource":"arn:aws:sns:*:*:CodeDeployTopic_*"},{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::*/CodeDeploy/*"},{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/UseWithCodeDeploy":"true"}}},{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:*:*:function:CodeDeployHook_*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole",
        id: "ANPACUMULETLAMBDAVPCAC",
        description: "Provides minimum permissions for a Lambda function to execute while accessing a resource within a VPC.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents","ec2:CreateNetworkInterface","ec2:DescribeNetworkInterfaces","ec2:DescribeSubnets","ec2:DeleteNetworkInterface","ec2:AssignPrivateIpAddresses","ec2:UnassignPrivateIpAddresses"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole",
        id: "ANPACUMULETLAMBDASQSQU",
        description: "Provides receive message, delete message, and read attribute access to SQS queues, and write permissions to CloudWatch Logs.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:GetQueueAttributes","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/service-role/AWSLambdaDynamoDBExecutionRole",
        id: "ANPACUMULETLAMBDADYNAM",
        description: "Provides list and read access to DynamoDB streams and write permissions to CloudWatch Logs.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:DescribeStream","dynamodb:GetRecords","dynamodb:GetShardIterator","dynamodb:ListStreams","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/service-role/AWSLambdaRole",
        id: "ANPACUMULETLAMBDAROLE0",
        description: "Default policy for AWS Lambda service role.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["lambda:InvokeFunction"],"Resource":["*"]}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess",
        id: "ANPACUMULETXRAYDAEMONW",
        description: "Allow the AWS X-Ray Daemon to relay raw trace segments data to the service's API and retrieve sampling data.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["xray:PutTraceSegments","xray:PutTelemetryRecords","xray:GetSamplingRules","xray:GetSamplingTargets","xray:GetSamplingStatisticSummaries"],"Resource":["*"]}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
        id: "ANPACUMULETXRAYWRITEON",
        description: "AWS X-Ray write only managed policy.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["xray:PutTraceSegments","xray:PutTelemetryRecords","xray:GetSamplingRules","xray:GetSamplingTargets","xray:GetSamplingStatisticSummaries"],"Resource":["*"]}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs",
        id: "ANPACUMULETAPIGATEWAYL",
        description: "Allows API Gateway to push logs to user's account.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:DescribeLogGroups","logs:DescribeLogStreams","logs:PutLogEvents","logs:GetLogEvents","logs:FilterLogEvents"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AdministratorAccess",
        id: "ANPACUMULETADMINISTRAT",
        description: "Provides full access to AWS services and resources.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole",
        id: "ANPACUMULETLAMBDAKINES",
        description: "Provides list and read access to Kinesis streams and write permissions to CloudWatch Logs.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kinesis:DescribeStream","kinesis:DescribeStreamSummary","kinesis:GetRecords","kinesis:GetShardIterator","kinesis:ListShards","kinesis:ListStreams","kinesis:SubscribeToShard","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess",
        id: "ANPACUMULETDYNAMODBFUL",
        description: "Provides full access to Amazon DynamoDB.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:*","dax:*","cloudwatch:DeleteAlarms","cloudwatch:DescribeAlarmHistory","cloudwatch:DescribeAlarms","cloudwatch:GetMetricStatistics","cloudwatch:ListMetrics","cloudwatch:PutMetricAlarm","iam:GetRole","iam:ListRoles","kms:DescribeKey","kms:ListAliases","lambda:ListFunctions","sns:ListTopics"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess",
        id: "ANPACUMULETDYNAMODBREA",
        description: "Provides read only access to Amazon DynamoDB.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:BatchGetItem","dynamodb:ConditionCheckItem","dynamodb:Describe*","dynamodb:GetItem","dynamodb:GetResourcePolicy","dynamodb:List*","dynamodb:PartiQLSelect","dynamodb:Query","dynamodb:Scan"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AmazonS3FullAccess",
        id: "ANPACUMULETS3FULLACCES",
        description: "Provides full access to all buckets.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
        id: "ANPACUMULETS3READONLYA",
        description: "Provides read only access to all buckets.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*","s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AmazonSQSFullAccess",
        id: "ANPACUMULETSQSFULLACCE",
        description: "Provides full access to Amazon SQS.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sqs:*"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AmazonSQSReadOnlyAccess",
        id: "ANPACUMULETSQSREADONLY",
        description: "Provides read only access to Amazon SQS.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sqs:GetQueueAttributes","sqs:GetQueueUrl","sqs:ListDeadLetterSourceQueues","sqs:ListMessageMoveTasks","sqs:ListQueues"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AmazonSNSFullAccess",
        id: "ANPACUMULETSNSFULLACCE",
        description: "Provides full access to Amazon SNS.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sns:*"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AmazonEventBridgeFullAccess",
        id: "ANPACUMULETEVENTBRIDGE",
        description: "Provides full access to Amazon EventBridge.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["events:*","schemas:*","scheduler:*","pipes:*"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess",
        id: "ANPACUMULETSSMREADONLY",
        description: "Provides read only access to Amazon SSM.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ssm:Describe*","ssm:Get*","ssm:List*"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/CloudWatchLogsFullAccess",
        id: "ANPACUMULETLOGSFULLACC",
        description: "Provides full access to CloudWatch Logs.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:*","cloudwatch:GenerateQuery"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AWSLambda_FullAccess",
        id: "ANPACUMULETLAMBDAFULLA",
        description: "Grants full access to AWS Lambda.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["lambda:*","cloudformation:DescribeStacks","cloudformation:ListStackResources","cloudwatch:GetMetricData","cloudwatch:ListMetrics","iam:GetPolicy","iam:GetPolicyVersion","iam:GetRole","iam:GetRolePolicy","iam:ListAttachedRolePolicies","iam:ListRolePolicies","iam:ListRoles","logs:DescribeLogGroups"],"Resource":"*"},{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess",
        id: "ANPACUMULETLAMBDAREADO",
        description: "Grants read-only access to AWS Lambda.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["lambda:Get*","lambda:List*","iam:GetRole","iam:ListRoles","logs:DescribeLogGroups"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/CloudWatchLambdaInsightsExecutionRolePolicy",
        id: "ANPACUMULETLAMBDAINSIG",
        description: "Policy required for the Lambda Insights Extension.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/PowerUserAccess",
        id: "ANPACUMULETPOWERUSERAC",
        description: "Provides full access to AWS services and resources, but does not allow management of users and groups.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":["iam:*","organizations:*","account:*"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/service-role/AWSLambdaENIManagementAccess",
        id: "ANPACUMULETLAMBDAENIMA",
        description: "Minimum permissions for a Lambda function to manage network interfaces.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ec2:CreateNetworkInterface","ec2:DescribeNetworkInterfaces","ec2:DeleteNetworkInterface"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/ReadOnlyAccess",
        id: "ANPACUMULETREADONLYACC",
        description: "Provides read-only access to the services that are here.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["apigateway:GET","cloudformation:Describe*","cloudformation:Detect*","cloudformation:Estimate*","cloudformation:Get*","cloudformation:List*","cloudformation:ValidateTemplate","cloudwatch:Describe*","cloudwatch:Get*","cloudwatch:List*","dynamodb:BatchGet*","dynamodb:Describe*","dynamodb:Get*","dynamodb:List*","dynamodb:PartiQLSelect","dynamodb:Query","dynamodb:Scan","ecr:BatchGet*","ecr:Describe*","ecr:Get*","ecr:List*","events:Describe*","events:List*","events:Test*","iam:Generate*","iam:Get*","iam:List*","iam:Simulate*","kms:Describe*","kms:Get*","kms:List*","lambda:Get*","lambda:List*","logs:Describe*","logs:FilterLogEvents","logs:Get*","logs:List*","logs:StartLiveTail","logs:StartQuery","logs:StopQuery","logs:TestMetricFilter","s3:Get*","s3:List*","scheduler:Get*","scheduler:List*","secretsmanager:Describe*","secretsmanager:GetResourcePolicy","secretsmanager:List*","sns:Check*","sns:Get*","sns:List*","sqs:Get*","sqs:List*","sqs:Receive*","ssm:Describe*","ssm:Get*","ssm:List*","states:Describe*","states:GetExecutionHistory","states:List*","sts:GetAccessKeyInfo","sts:GetCallerIdentity","sts:GetSessionToken","tag:Get*","xray:BatchGet*","xray:Get*"],"Resource":"*"}]}"#,
    },
    Managed {
        arn: "arn:aws:iam::aws:policy/AWSCloudFormationReadOnlyAccess",
        id: "ANPACUMULETCFNREADONLY",
        description: "Provides access to AWS CloudFormation via the AWS Management Console.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["cloudformation:Describe*","cloudformation:EstimateTemplateCost","cloudformation:Get*","cloudformation:List*","cloudformation:ValidateTemplate","cloudformation:Detect*"],"Resource":"*"}]}"#,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::policy;

    #[test]
    fn documents_are_policies() {
        for managed in all() {
            assert!(policy::check(managed.document, policy::Kind::Identity).is_ok(), "{}", managed.arn);
        }
    }

    #[test]
    fn each_is_there_once() {
        let arns: BTreeSet<&str> = all().map(|managed| managed.arn).collect();
        let ids: BTreeSet<&str> = all().map(|managed| managed.id).collect();
        assert_eq!((arns.len(), ids.len()), (all().count(), all().count()));
        assert!(all().all(|managed| managed.id.len() == ALL[0].id.len()));
        assert!(arns.contains("arn:aws:iam::aws:policy/AWSLambdaExecute"));
    }

    #[test]
    fn paths() {
        let basic = &ALL[0];
        assert_eq!((basic.path().as_str(), basic.name()), ("/service-role/", "AWSLambdaBasicExecutionRole"));
        let admin = find("arn:aws:iam::aws:policy/AdministratorAccess").map(Managed::path);
        assert_eq!(admin.as_deref(), Some("/"));
    }
}
