/** The packaged warning rules' sentences in Chinese. A user's own rule says what its owner wrote. */

import { language } from './words'

const ZH: Readonly<Record<string, string>> = {
  'energy management': '能源管理',
  'data management': '数据管理',
  'control room': '调度室',
  metering: '计量',
  "A share of the period's target is used up": '本期目标已用去一部分',
  'The rest of the period has to do with what is left': '本期剩余时间只能使用剩余额度',
  'Compare what is left with the days to come': '对照剩余额度与剩余天数',
  "The period's target is used up": '本期目标已用完',
  'Every further reading is above the target': '此后每一笔都超出目标',
  'Curtail what can wait and explain the excess': '压减可延后的用能，并说明超出原因',
  'More was used than planned up to this day': '截至当日的用量超过计划',
  'The target will be missed unless less is used': '如不减少用量，将超出目标',
  'Find the days above plan and their loads': '找出超计划的日期及其负荷',
  'At the present pace the target is used up before its period ends': '按当前速度，目标将在期末前用完',
  'The target will be missed on a date that is known': '将在可预知的日期超出目标',
  'Bring the load down or move it before that date': '在该日期前降低或转移负荷',
  'An indicator of data consistency misses its target': '数据一致性指标未达标',
  'Figures of the day are incomplete or contradict each other': '当日数据不完整或相互矛盾',
  'Find the meters and sources that fall short and mend them': '找出不达标的表计和数据源并修复',
  'No meter of a source reports any more: gateway or connection or power is down':
    '该数据源的所有表计停止上报：网关、通信或供电中断',
  'Emissions and warnings of all its meters stand still': '其全部表计的排放与预警停止更新',
  "Check the gateway's connection and power; call its site": '检查网关通信与供电，并联系现场',
  'Meters of a site do not report though their source does': '数据源在线，但部分表计未上报',
  'Their readings are estimated or missing': '其读数为估算或缺失',
  'Check the meters and their line; read their registers': '检查表计及线路，抄读表底',
  'More is emitted or used for each yuan of value added than the target allows': '单位增加值的排放或能耗超过目标',
  "The period's intensity target will be missed": '本期强度目标将无法完成',
  'Find what grew faster than output': '找出增速快于产出的用能',
  'The intensity falls more slowly than the target asks or grows': '强度下降慢于目标要求，或不降反升',
  "The period's reduction target will be missed": '本期下降率目标将无法完成',
  'Compare months and sectors with the period before': '与上期逐月、分领域对比',
}

export const ruleText = (text: string): string => (language.value === 'en' ? text : (ZH[text] ?? text))
