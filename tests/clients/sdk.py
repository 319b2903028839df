"""Calls by the cloud's own Python SDK: sdk.py ENDPOINT SECRET_ID SECRET_KEY SIGN_METHOD HTTP_METHOD CALLS

CALLS is a JSON list of [SERVICE, ACTION, REQUEST], made one after the other. Prints the list of what the SDK made of the
answers, with {"Code", "Message"} of the exception where it raised one. CLOCK_AHEAD in the environment is how many seconds
this machine's clock is wrong.
"""

import importlib
import json
import os
import sys
import time

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

endpoint, secret_id, secret_key, sign_method, http_method, calls = sys.argv[1:]
ahead, true_time = int(os.environ.get("CLOCK_AHEAD", "0")), time.time
time.time = lambda: true_time() + ahead
http = HttpProfile(protocol="http", endpoint=endpoint, reqMethod=http_method, reqTimeout=10)
profile = ClientProfile(httpProfile=http, signMethod=sign_method)


def call(service, action, request):
    package = f"tencentcloud.{service}.v20170312"
    client = getattr(importlib.import_module(f"{package}.{service}_client"), f"{service.capitalize()}Client")
    cloud = client(credential.Credential(secret_id, secret_key), "ap-guangzhou", profile)
    try:
        asked = getattr(importlib.import_module(f"{package}.models"), f"{action}Request")()
        asked.from_json_string(json.dumps(request))
        return json.loads(getattr(cloud, action)(asked).to_json_string())
    except TencentCloudSDKException as error:
        return {"Code": error.get_code(), "Message": error.get_message()}


print(json.dumps([call(*one) for one in json.loads(calls)]))
