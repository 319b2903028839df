// Calls by the cloud's own Node SDK: node sdk.js ENDPOINT SECRET_ID SECRET_KEY SIGN_METHOD HTTP_METHOD CALLS
//
// CALLS is a JSON list of [SERVICE, ACTION, REQUEST], made one after the other. Prints the list of what the SDK made of the
// answers, with {Code, Message} of the error where it threw one. CLOCK_AHEAD in the environment is how many seconds this
// machine's clock is wrong.

"use strict"

const [endpoint, secretId, secretKey, signMethod, reqMethod, calls] = process.argv.slice(2)
const [ahead, TrueDate] = [1000 * Number(process.env.CLOCK_AHEAD ?? 0), Date]
globalThis.Date = class extends TrueDate {
  constructor(...given) {
    super(...(given.length ? given : [TrueDate.now() + ahead]))
  }
  static now() {
    return TrueDate.now() + ahead
  }
}

function client(service) {
  const { Client } = require(`tencentcloud-sdk-nodejs/tencentcloud/services/${service}`)[service].v20170312
  return new Client({
    credential: { secretId, secretKey },
    region: "ap-guangzhou",
    profile: { signMethod, httpProfile: { protocol: "http://", endpoint, reqMethod, reqTimeout: 10 } },
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
