"""One call by the cloud's own Python SDK: sdk.py ENDPOINT SECRET_ID SECRET_KEY SIGN_METHOD HTTP_METHOD SERVICE ACTION JSON

Prints what the SDK made of the answer, or {"Code", "Message"} of the exception it raised.
"""

import importlib
import json
import sys

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

endpoint, secret_id, secret_key, sign_method, http_method, service, action, text = sys.argv[1:]
package = f"tencentcloud.{service}.v20170312"
models = importlib.import_module(f"{package}.models")
client = getattr(importlib.import_module(f"{package}.{service}_client"), f"{service.capitalize()}Client")
http = HttpProfile(protocol="http", endpoint=endpoint, reqMethod=http_method, reqTimeout=10)
profile = ClientProfile(httpProfile=http, signMethod=sign_method)
try:
    request = getattr(models, f"{action}Request")()
    request.from_json_string(text)
    cloud = client(credential.Credential(secret_id, secret_key), "ap-guangzhou", profile)
    print(getattr(cloud, action)(request).to_json_string())
except TencentCloudSDKException as error:
    print(json.dumps({"Code": error.get_code(), "Message": error.get_message()}))
