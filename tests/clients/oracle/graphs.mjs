// The graphs of tests/plugins/graphs.c in LangGraph's own terms.
import { FakeListChatModel } from '@langchain/core/utils/testing';
import { AIMessage, ToolMessage } from '@langchain/core/messages';
import { Annotation, END, START, StateGraph, MessagesAnnotation, interrupt } from '@langchain/langgraph';

const State = (...names) =>
  Annotation.Root({ ...MessagesAnnotation.spec, ...Object.fromEntries(names.map((n) => [n, Annotation()])) });
const last = (state) => state.messages.at(-1);

export const echo = new StateGraph(State())
  .addNode('echo', async (state, config) => ({
    messages: [await new FakeListChatModel({ responses: [`You said: ${last(state).content}`] }).invoke(state.messages, config)],
  }))
  .addEdge(START, 'echo').addEdge('echo', END).compile();

export const agent = new StateGraph(State())
  .addNode('model', (state) => ({
    messages: [last(state).getType() === 'tool'
      ? new AIMessage('The sum is 3.')
      : new AIMessage({ content: '', tool_calls: [{ name: 'add', args: { a: 1, b: 2 }, id: 'call-1', type: 'tool_call' }] })],
  }))
  .addNode('tools', (state, config) => {
    config.writer?.({ progress: 'adding' });
    return { messages: [new ToolMessage({ content: '3', name: 'add', tool_call_id: 'call-1' })] };
  })
  .addEdge(START, 'model')
  .addConditionalEdges('model', (state) => (last(state).tool_calls?.length ? 'tools' : END), ['tools', END])
  .addEdge('tools', 'model').compile();

export const approve = new StateGraph(State('answer'))
  .addNode('ask', () => ({ answer: interrupt({ question: 'ok?' }) }))
  .addNode('done', (state) => ({ messages: [new AIMessage(`The answer was ${state.answer}.`)] }))
  .addEdge(START, 'ask').addEdge('ask', 'done').addEdge('done', END).compile();

export const parallel = new StateGraph(State('left', 'right', 'sum'))
  .addNode('leftNode', () => ({ left: 1 }))
  .addNode('rightNode', () => ({ right: 2 }))
  .addNode('join', (state) => ({ sum: state.left + state.right }))
  .addEdge(START, 'leftNode').addEdge(START, 'rightNode')
  .addEdge(['leftNode', 'rightNode'], 'join').addEdge('join', END).compile();

export const slow = new StateGraph(State('ms', 'slept'))
  .addNode('wait', async (state) => {
    await new Promise((resolve) => setTimeout(resolve, state.ms));
    return { slept: state.ms };
  })
  .addEdge(START, 'wait').addEdge('wait', END).compile();

export const fails = new StateGraph(State())
  .addNode('boom', () => { throw new Error('it breaks, as it was told'); })
  .addEdge(START, 'boom').addEdge('boom', END).compile();
