"""What the tests do with ministack: run it, make users, and move files.

serve PORT COMMAND...    runs the server until standard input ends, which it does however the test process ends
setup URL BUCKET...      makes the buckets and the users; prints their keys as JSON
token URL ID SECRET ARN SECONDS    a role's credentials for a time, as JSON of credential_process
upload URL BUCKET PREFIX FOLDER    puts a folder
put URL BUCKET KEY       puts standard input under one key
download URL BUCKET PREFIX FOLDER  writes what is there into a folder
"""

import json
import os
import subprocess
import sys

ROOT = "root", "rootroot"


def client(service, url, key_id=ROOT[0], secret=ROOT[1]):
    import botocore.session
    from botocore.config import Config

    return botocore.session.get_session().create_client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(s3={"addressing_style": "path"}),
    )


def serve(port, *command):
    environment = {
        **os.environ,
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": port,
        "AWS_ACCESS_KEY_ID": ROOT[0],
        "AWS_SECRET_ACCESS_KEY": ROOT[1],
        "LOG_LEVEL": "WARNING",
    }
    server = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    try:
        sys.stdin.read()
    finally:
        server.kill()


def setup(url, *buckets):
    s3, iam = client("s3", url), client("iam", url)
    for bucket in buckets:
        s3.create_bucket(Bucket=bucket)
    users = {"writer": ["s3:*", "sts:*"], "reader": ["s3:GetObject", "s3:ListBucket"]}
    keys = {}
    for user, actions in users.items():
        iam.create_user(UserName=user)
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=json.dumps(policy))
        made = iam.create_access_key(UserName=user)["AccessKey"]
        keys[user] = [made["AccessKeyId"], made["SecretAccessKey"]]
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    role = iam.create_role(RoleName="hunt", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="hunt", PolicyName="all", PolicyDocument=json.dumps(policy))
    keys["role"] = [role, ""]
    print(json.dumps(keys))


def token(url, key_id, secret, arn, seconds):
    # Parameters are not validated: AWS allows no less than 15 minutes, a test does not wait that long.
    import botocore.session
    from botocore.config import Config

    sts = botocore.session.get_session().create_client(
        "sts",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(parameter_validation=False),
    )
    made = sts.assume_role(RoleArn=arn, RoleSessionName="test", DurationSeconds=int(seconds))["Credentials"]
    names = "AccessKeyId", "SecretAccessKey", "SessionToken"
    print(json.dumps({"Version": 1, **{name: made[name] for name in names}}))


def upload(url, bucket, prefix, folder):
    s3 = client("s3", url)
    for above, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(above, name)
            key = prefix + os.path.relpath(path, folder)
            with open(path, "rb") as file:
                s3.put_object(Bucket=bucket, Key=key, Body=file.read())


def put(url, bucket, key):
    client("s3", url).put_object(Bucket=bucket, Key=key, Body=sys.stdin.buffer.read())


def download(url, bucket, prefix, folder):
    s3 = client("s3", url)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            path = os.path.join(folder, entry["Key"][len(prefix) :])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
