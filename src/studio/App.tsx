/**
 * The page: its header and the open tab.
 */
import { useEffect } from "preact/hooks"
import { DropVeil } from "./parts/DropVeil.tsx"
import { Gallery } from "./parts/Gallery.tsx"
import { ModelsPage } from "./parts/ModelsPage.tsx"
import { Notices } from "./parts/Notices.tsx"
import { Panel } from "./parts/Panel.tsx"
import { PngInfoPage } from "./parts/PngInfoPage.tsx"
import { SettingsPage } from "./parts/SettingsPage.tsx"
import { SourceSection } from "./parts/SourceSection.tsx"
import { Stage } from "./parts/Stage.tsx"
import { Top } from "./parts/Top.tsx"
import { UpscalePage } from "./parts/UpscalePage.tsx"
import { Viewer } from "./parts/Viewer.tsx"
import { load } from "./state/catalogue.ts"
import { begin, leave, viewed } from "./state/gallery.ts"
import { isInfotext, offerInfotext } from "./state/infotext.ts"
import { onVisibility, poll } from "./state/queue.ts"
import { generate, resume } from "./state/runs.ts"
import { restore } from "./state/source.ts"
import { beginTitle } from "./state/title.ts"
import { beginTokens } from "./state/tokens.ts"
import { receive } from "./state/transfer.ts"
import { announcement, isKind, tab } from "./state/ui.ts"
import { follow, restoreUnits } from "./state/units.ts"

const onPaste = (event: ClipboardEvent) => {
  const files = [...event.clipboardData?.files ?? []].filter(({ type }) => type.startsWith("image/"))
  const [file] = files
  if (file === undefined) {
    const text = event.clipboardData?.getData("text/plain") ?? ""
    if (isInfotext(text)) offerInfotext(text)
    return
  }
  event.preventDefault()
  const unit = event.target instanceof Element ? event.target.closest("[data-unit]")?.getAttribute("data-unit") : null
  void (typeof unit === "string" ? follow(unit, file, file.name) : receive(files))
}

const onKey = (event: KeyboardEvent) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat) return
  event.preventDefault()
  void generate()
}

export const App = () => {
  useEffect(() => {
    beginTitle()
    beginTokens()
    void load()
    void restore()
    void restoreUnits()
    void begin()
    void poll()
    resume()
    addEventListener("paste", onPaste)
    addEventListener("keydown", onKey)
    addEventListener("pagehide", leave)
    document.addEventListener("visibilitychange", onVisibility)
    return () => {
      removeEventListener("paste", onPaste)
      removeEventListener("keydown", onKey)
      removeEventListener("pagehide", leave)
      document.removeEventListener("visibilitychange", onVisibility)
    }
  }, [])
  const name = tab.value
  return (
    <div class="app">
      <a class="skip-link" href="#work">Skip to the form</a>
      <Top />
      <main class="main">
        <div
          id="work"
          role="tabpanel"
          tabIndex={-1}
          aria-labelledby={`tab-${name}`}
          class={isKind(name) ? "work" : name === "models" ? "page wide" : "page"}
        >
          {isKind(name)
            ? (
              <>
                <Panel kind={name} />
                <div class={name === "inpaint" ? "main-area paints" : "main-area"}>
                  {name === "inpaint" ? <SourceSection kind="inpaint" /> : null}
                  <Stage />
                  <Gallery />
                </div>
              </>
            )
            : name === "upscale"
            ? <UpscalePage />
            : name === "models"
            ? <ModelsPage />
            : name === "info"
            ? <PngInfoPage />
            : <SettingsPage />}
        </div>
      </main>
      <Viewer />
      <DropVeil />
      <div class="unseen" role="status">{announcement}</div>
      {viewed.value === undefined ? <Notices /> : null}
    </div>
  )
}
