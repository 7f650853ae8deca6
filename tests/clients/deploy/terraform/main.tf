# A shop as the other tools deploy it: a function behind an HTTP API and an address of its own, a table, a bucket whose
# uploads start the function, a queue, schedules of both kinds, and what watches over it.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "5.100.0" }
  }
}

variable "greeting" { default = "hello" }
variable "runtime" { type = string }

provider "aws" {
  region                      = "us-east-1"
  s3_use_path_style           = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = false
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com", "scheduler.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "work" {
  name               = "shop-work"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy_attachment" "logs" {
  role       = aws_iam_role.work.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_iam_role_policy" "work" {
  role = aws_iam_role.work.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], Resource = aws_sqs_queue.tasks.arn },
      { Effect = "Allow", Action = ["dynamodb:PutItem", "dynamodb:GetItem"], Resource = aws_dynamodb_table.seen.arn },
      { Effect = "Allow", Action = "lambda:InvokeFunction", Resource = "*" },
    ]
  })
}

resource "aws_cloudwatch_log_group" "work" {
  name              = "/aws/lambda/shop-work"
  retention_in_days = 7
}

resource "aws_lambda_function" "work" {
  function_name    = "shop-work"
  role             = aws_iam_role.work.arn
  runtime          = var.runtime
  handler          = "app.handler"
  filename         = "${path.module}/code.zip"
  source_code_hash = filebase64sha256("${path.module}/code.zip")
  publish          = true
  timeout          = 10
  environment {
    variables = { GREETING = var.greeting, TABLE = aws_dynamodb_table.seen.name }
  }
  depends_on = [aws_cloudwatch_log_group.work, aws_iam_role_policy.work]
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.work.function_name
  function_version = aws_lambda_function.work.version
}

resource "aws_lambda_function_url" "work" {
  function_name      = aws_lambda_function.work.function_name
  authorization_type = "NONE"
}

resource "aws_dynamodb_table" "seen" {
  name         = "seen"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"
  attribute {
    name = "id"
    type = "S"
  }
  ttl {
    attribute_name = "until"
    enabled        = true
  }
  tags = { kind = "shop" }
}

resource "aws_sqs_queue" "tasks" {
  name                       = "tasks"
  visibility_timeout_seconds = 60
  redrive_allow_policy       = jsonencode({ redrivePermission = "denyAll" })
}

resource "aws_lambda_event_source_mapping" "tasks" {
  event_source_arn = aws_sqs_queue.tasks.arn
  function_name    = aws_lambda_function.work.arn
  batch_size       = 5
}

resource "aws_s3_bucket" "uploads" {
  bucket        = "shop-uploads"
  force_destroy = true
}

resource "aws_s3_bucket_public_access_block" "uploads" {
  bucket                  = aws_s3_bucket.uploads.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_lambda_permission" "uploads" {
  statement_id  = "uploads"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.work.function_name
  principal     = "s3.amazonaws.com"
  source_arn    = aws_s3_bucket.uploads.arn
}

resource "aws_s3_bucket_notification" "uploads" {
  bucket = aws_s3_bucket.uploads.id
  lambda_function {
    lambda_function_arn = aws_lambda_function.work.arn
    events              = ["s3:ObjectCreated:*"]
    filter_suffix       = ".txt"
  }
  depends_on = [aws_lambda_permission.uploads]
}

resource "aws_scheduler_schedule" "tick" {
  name                = "tick"
  schedule_expression = "rate(1 hour)"
  flexible_time_window { mode = "OFF" }
  target {
    arn      = aws_lambda_function.work.arn
    role_arn = aws_iam_role.work.arn
  }
}

resource "aws_cloudwatch_event_rule" "tock" {
  name                = "tock"
  schedule_expression = "rate(1 hour)"
}

resource "aws_cloudwatch_event_target" "tock" {
  rule = aws_cloudwatch_event_rule.tock.name
  arn  = aws_lambda_function.work.arn
}

resource "aws_lambda_permission" "tock" {
  statement_id  = "tock"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.work.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.tock.arn
}

resource "aws_apigatewayv2_api" "shop" {
  name          = "shop"
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_stage" "live" {
  api_id      = aws_apigatewayv2_api.shop.id
  name        = "$default"
  auto_deploy = true
}

resource "aws_apigatewayv2_integration" "work" {
  api_id                 = aws_apigatewayv2_api.shop.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.work.invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "hello" {
  api_id    = aws_apigatewayv2_api.shop.id
  route_key = "GET /hello"
  target    = "integrations/${aws_apigatewayv2_integration.work.id}"
}

resource "aws_lambda_permission" "shop" {
  statement_id  = "shop"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.work.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.shop.execution_arn}/*/*"
}

resource "aws_sns_topic" "alarms" { name = "alarms" }

resource "aws_cloudwatch_log_metric_filter" "errors" {
  name           = "errors"
  log_group_name = aws_cloudwatch_log_group.work.name
  pattern        = "ERROR"
  metric_transformation {
    name          = "errors"
    namespace     = "Shop"
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "errors"
  namespace           = "Shop"
  metric_name         = aws_cloudwatch_log_metric_filter.errors.metric_transformation[0].name
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

resource "aws_ssm_parameter" "greeting" {
  name  = "/shop/greeting"
  type  = "String"
  value = var.greeting
}

output "api" { value = "${aws_apigatewayv2_api.shop.api_endpoint}/hello" }
output "tasks" { value = aws_sqs_queue.tasks.url }
output "account" { value = data.aws_caller_identity.current.account_id }
