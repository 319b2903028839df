// Calls by the cloud's own Node SDK: node sdk.js ENDPOINT SECRET_ID SECRET_KEY CALLS
//
// CALLS is a JSON list of [SERVICE, ACTION, REQUEST], made one after the other. Prints the list of what the SDK made of the
// answers, with {Code, Message} of the error where it threw one.

"use strict"

const [endpoint, secretId, secretKey, calls] = process.argv.slice(2)

function client(service) {
  const { Client } = require(`tencentcloud-sdk-nodejs/tencentcloud/services/${service}`)[service].v20170312
  return new Client({
    credential: { secretId, secretKey },
    region: "ap-guangzhou",
    profile: { httpProfile: { protocol: "http://", endpoint, reqTimeout: 10 } },
  })
}

async function call([service, action, request]) {
  try {
    return await client(service)[action](request)
  } catch (error) {
    if (!error.code) throw error
    return { Code: error.code, Message: error.message }
  }
}

async function all() {
  const answers = []
  for (const one of JSON.parse(calls)) answers.push(await call(one))
  console.log(JSON.stringify(answers))
}

all()
