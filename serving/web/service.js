// The service's API: one recording up, one answer down, in spite of the network.

const ATTEMPTS = 4;
const FIRST_WAIT_S = 1;
const LONGEST_WAIT_S = 20;
const ATTEMPT_S = 90;
const BUSY = new Set([429, 502, 503, 504]);
const STILL_ANSWERING = "idempotency_in_progress";

/** Why there is no answer. `code` is the service's, or `offline`. */
export class Problem extends Error {
  constructor(code, { detail = "", status = 0, requestId = "", retryAfterS = null } = {}) {
    super(detail || code);
    Object.assign(this, { code, detail, status, requestId, retryAfterS });
  }

  /** Whether the same request may well succeed later. */
  get passing() {
    return this.code === "offline" || BUSY.has(this.status) || this.code === STILL_ANSWERING;
  }
}

/**
 * Send a recording; try again while the failure may pass, always with the same Idempotency-Key, so
 * that an answer lost on its way is not computed twice.
 *
 * @param {object} request {blob, metadata, idempotencyKey, accessKey}
 * @param {AbortSignal} signal ends it with an AbortError
 * @param {(wait: {problem: Problem, seconds: number, attempt: number, attempts: number}) => void} onWait
 * @returns {Promise<{answer: object, unused: string[], requestId: string}>}
 */
export async function screen(request, { signal, onWait }) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await screenOnce(request, signal);
    } catch (problem) {
      const seconds = problem.retryAfterS ?? FIRST_WAIT_S * 2 ** (attempt - 1);
      if (!problem.passing || attempt === ATTEMPTS || seconds > LONGEST_WAIT_S) {
        throw problem;
      }
      onWait({ problem, seconds, attempt: attempt + 1, attempts: ATTEMPTS });
      await pause(seconds * (1 + Math.random() / 4), signal);
    }
  }
}

async function screenOnce({ blob, metadata, idempotencyKey, accessKey }, signal) {
  const form = new FormData();
  form.append("file", blob, "recording"); // a file's own name may name a person
  if (metadata) {
    form.append("metadata", JSON.stringify(metadata));
  }
  const headers = { "Idempotency-Key": idempotencyKey, ...bearer(accessKey) };
  const response = await fetchWithin("v1/screenings", { method: "POST", body: form, headers }, signal);
  const unused = response.headers.get("Cough-Unused-Input") ?? "";
  return {
    answer: response.body,
    unused: unused.split(",").map((name) => name.trim()),
    requestId: response.headers.get("X-Request-ID") ?? "",
  };
}

/** What is installed (`GET /v1/models`). */
export async function installed(accessKey) {
  const { body } = await fetchWithin("v1/models", { headers: bearer(accessKey) });
  return body.models[0];
}

/** No key holds anything but visible ASCII, and no header of a browser's more than Latin-1. */
function bearer(key) {
  if (key && !/^[\x21-\x7e]+$/.test(key)) {
    throw new Problem("unauthorized");
  }
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function fetchWithin(url, options, signal) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ATTEMPT_S * 1000);
  const stop = () => late.abort();
  signal?.addEventListener("abort", stop);
  try {
    const response = await fetch(url, { ...options, signal: late.signal });
    const body = await response.json().catch((error) => {
      if (error instanceof SyntaxError) {
        return null; // a proxy's page, not the service's answer
      }
      throw error;
    });
    if (!response.ok || body === null) {
      throw problemOf(response, body);
    }
    return { body, headers: response.headers };
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof Problem ? error : new Problem("offline");
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

function problemOf(response, body) {
  const retryAfter = Number.parseFloat(response.headers.get("Retry-After"));
  return new Problem(body?.code ?? "internal", {
    detail: body?.detail,
    status: response.ok ? 502 : response.status,
    requestId: body?.request_id ?? response.headers.get("X-Request-ID") ?? "",
    retryAfterS: Number.isFinite(retryAfter) ? retryAfter : null,
  });
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** A new Idempotency-Key; `crypto.randomUUID` exists only at secure addresses. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
