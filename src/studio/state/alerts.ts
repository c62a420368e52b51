/**
 * What says that a run has ended: a notification and a sound, where they were asked for.
 */
import { signal } from "@preact/signals"
import { isRecord } from "../api.ts"
import { complain } from "./notices.ts"
import { kept } from "./persist.ts"

export interface Alerts {
  readonly notification: boolean
  readonly sound: boolean
}

export const alerts = kept("alerts", (value): Alerts => ({
  notification: isRecord(value) && value["notification"] === true,
  sound: isRecord(value) && value["sound"] === true
}))

/** What has ended since the page was looked at last. */
export const unseen = signal<string | undefined>(undefined)

addEventListener("visibilitychange", () => {
  if (!document.hidden) unseen.value = undefined
})

// Two short tones, made here: the page loads no file for them.
const play = () => {
  const audio = new AudioContext()
  for (const [at, frequency] of [[0, 660], [0.14, 880]] as const) {
    const tone = audio.createOscillator()
    const volume = audio.createGain()
    tone.frequency.value = frequency
    volume.gain.setValueAtTime(0.15, audio.currentTime + at)
    volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + at + 0.3)
    tone.connect(volume).connect(audio.destination)
    tone.start(audio.currentTime + at)
    tone.stop(audio.currentTime + at + 0.3)
  }
  setTimeout(() => void audio.close(), 1000)
}

/** Says that a run has ended. */
export const sayEnded = (what: string, prompt: string) => {
  if (alerts.value.sound) play()
  if (!document.hidden) return
  unseen.value = what
  if (!alerts.value.notification || Notification.permission !== "granted") return
  const shown = new Notification(what, { body: prompt })
  shown.addEventListener("click", () => focus())
}

/** Switches the sound, and plays it once when it comes on. */
export const setSound = (sound: boolean) => {
  alerts.value = { ...alerts.value, sound }
  if (sound) play()
}

/** Switches notifications; the browser asks the person first. */
export const setNotification = async (notification: boolean) => {
  if (notification && (!("Notification" in globalThis) || await Notification.requestPermission() !== "granted")) {
    alerts.value = { ...alerts.value, notification: false }
    return complain(
      "The browser does not allow this page to notify you. Allow it in the browser's settings for this page."
    )
  }
  alerts.value = { ...alerts.value, notification }
}
