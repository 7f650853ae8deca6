//! This crate's parsers of outside bytes, for the fuzz room: a template on its way to a plan.

use std::collections::BTreeMap;

use cumulet_base::fuzz::Target;

use crate::intrinsics::Pseudo;
use crate::prepared;
use crate::stack::Wish;
use crate::template::yaml;

pub const TARGETS: &[Target] = &[
    Target {
        name: "cloudformation-template",
        seeds: &[
            br#"
Transform: AWS::Serverless-2016-10-31
Parameters: {Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}, Ports: {Type: List<Number>, Default: "1,2"}}
Mappings: {M: {a: {b: c}}}
Conditions: {IsProd: !Equals [!Ref Stage, prod], Not: !Not [!Condition IsProd], And: !And [!Condition Not, !Or [!Condition IsProd, !Condition Not]]}
Globals: {Function: {Timeout: 5, Environment: {Variables: {A: b}}}}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs20.x
      Handler: index.handler
      InlineCode: x
      Policies: [{Statement: {Effect: Allow, Action: "*", Resource: !Sub "arn:${AWS::Partition}:s3:::${Stage}-${!x}"}}]
      Events: {E: {Type: HttpApi, Properties: {Path: "/a/{id}", Method: get}}}
      FunctionUrlConfig: {AuthType: NONE}
Outputs: {U: {Value: !Join ["", ["http://", !GetAtt F.Arn, !Select [0, !Split [",", "a,b"]], !FindInMap [M, a, b], !If [IsProd, x, !Ref "AWS::NoValue"]]]}}
"#,
            br#"{"Resources":{"G":{"Type":"AWS::Logs::LogGroup","DependsOn":["H"],"Properties":{"LogGroupName":{"Fn::Sub":["${a}",{"a":{"Ref":"H"}}]}}},"H":{"Type":"AWS::Logs::LogGroup","DeletionPolicy":"Retain"}}}"#,
        ],
        run: template,
    },
    Target {
        name: "cloudformation-yaml",
        seeds: &[b"a: &x [1, 0x1f, ~, yes, !Ref b, !GetAtt c.d]\nb: |\n  text\n? k\n: *x\n<<: {c: 1.5e3}\n"],
        run: |bytes| {
            let _either = yaml::parse(&String::from_utf8_lossy(bytes));
        },
    },
];

fn template(bytes: &[u8]) {
    let pseudo = Pseudo {
        account: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        stack_id: "arn:aws:cloudformation:us-east-1:000000000000:stack/s/i".to_owned(),
        stack_name: "s".to_owned(),
        url_suffix: "localhost".to_owned(),
        topics: Vec::new(),
    };
    let wish = Wish { template: String::from_utf8_lossy(bytes).into_owned(), ..Wish::default() };
    let _either = prepared::prepare_given(wish, &[], pseudo, &BTreeMap::new());
}
