/**
 * What made an image, as a table.
 */
import type { AskedRequest } from "../api.ts"

const labels: ReadonlyArray<readonly [name: string, label: string]> = [
  ["cell", "Cell"],
  ["x_axis", "X axis"],
  ["y_axis", "Y axis"],
  ["z_axis", "Z axis"],
  ["prompt", "Prompt"],
  ["negative_prompt", "Negative prompt"],
  ["steps", "Steps"],
  ["sampler_name", "Sampler"],
  ["scheduler", "Schedule"],
  ["cfg_scale", "CFG scale"],
  ["seed", "Seed"],
  ["width", "Width"],
  ["height", "Height"],
  ["denoising_strength", "Denoising strength"]
]

/** `known`: values that the request leaves open, such as the seed that was drawn. */
export const Facts = ({ known = {}, request }: {
  readonly request: AskedRequest
  readonly known?: Readonly<Record<string, unknown>> | undefined
}) => {
  const values = new Map<string, unknown>(Object.entries({ ...request, ...known }))
  const isPlain = request._tag === "Txt2Img" && !request.enable_hr
  return (
    <dl class="facts">
      {labels.flatMap(([name, label]) => {
        const value = values.get(name)
        return value === undefined || value === "" || (name === "denoising_strength" && isPlain)
          ? []
          : [<dt key={`${name}-term`}>{label}</dt>, <dd key={name}>{String(value)}</dd>]
      })}
    </dl>
  )
}
